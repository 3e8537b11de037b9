"""Text encoders with random weights, of a few thousand parameters, in the file layouts of the real ones."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

LETTERS = "abcdefghijklmnopqrstuvwxyz"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SHARD = "20KB"
"""A few shards of the tiny Gemma."""


def write_gemma(folder: Path, *, pipeline: bool = False, shards: bool = False) -> Path:
    """gemma-2-2b-it: the whole language model and its tokenizer; or a Sana pipeline, with the decoder alone."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    tokenizer = _gemma_tokenizer()
    config = Gemma2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=32,
        max_position_embeddings=4096,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Gemma2ForCausalLM(config)
        for layer in model.model.layers:  # so that the cap on attention logits, 50, is felt
            layer.self_attn.q_proj.weight.data *= 100
            layer.self_attn.k_proj.weight.data *= 100
    saved = model.model if pipeline else model
    saved.save_pretrained(folder / "text_encoder" if pipeline else folder, max_shard_size=SHARD if shards else "1GB")
    options = {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    _save_tokenizer(tokenizer, folder / "tokenizer" if pipeline else folder, {**options, "unk_token": "<unk>"})
    return folder


def write_t5(folder: Path) -> Path:
    """t5-v1_1: encoder and decoder, and a Unigram vocabulary with the two halves of its tokenizer.json."""
    from transformers import T5Config, T5ForConditionalGeneration

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -4.0) for letter in LETTERS] + [(f"▁{letter}", -3.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    sizes = {"d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 32, "num_layers": 2, "num_decoder_layers": 1}
    config = T5Config(vocab_size=len(pieces) + 100, feed_forward_proj="gated-gelu", tie_word_embeddings=False, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        T5ForConditionalGeneration(config).save_pretrained(folder)
    options = {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _save_tokenizer(tokenizer, folder, {**options, "extra_ids": 100})
    return folder


def write_clip(folder: Path, *, pipeline: bool = False) -> Path:
    """clip-vit-large-patch14: both towers; or a Stable Diffusion pipeline, with the text tower alone. Words as vocab.json."""
    from transformers import CLIPConfig, CLIPModel

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet), "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = {
        **sizes,
        "vocab_size": len(tokens),
        "max_position_embeddings": 77,
        "bos_token_id": len(tokens) - 2,
        "eos_token_id": len(tokens) - 1,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vision = {**sizes, "image_size": 8, "patch_size": 4}
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    if pipeline:
        model.text_model.config.save_pretrained(folder / "text_encoder")
        tower = {f"text_model.{name}": value for name, value in model.text_model.state_dict().items()}
        save_file(tower, folder / "text_encoder" / "model.safetensors", metadata={"format": "pt"})
    else:
        model.save_pretrained(folder)
    words = folder / "tokenizer" if pipeline else folder
    words.mkdir(parents=True, exist_ok=True)
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    end = "<|endoftext|>"
    options = {"tokenizer_class": "CLIPTokenizer", "bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end}
    (words / "tokenizer_config.json").write_text(json.dumps({**options, "pad_token": end, "model_max_length": 77}))
    return folder


def _gemma_tokenizer() -> Tokenizer:
    merges = [("▁", "c"), ("a", "t")]
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *BYTES, "▁", "\n", *LETTERS, *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return tokenizer


def _save_tokenizer(tokenizer: Tokenizer, folder: Path, options: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
