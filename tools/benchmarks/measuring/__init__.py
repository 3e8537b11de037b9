"""What the benchmarks share: rounds in turn, replays on a GPU, times by part, the roofline, goals, pages."""

from measuring.goals import Goal, Judged, goal_rows, print_goals
from measuring.layers import LayerClock, Part
from measuring.pages import fill_page, launches_in_words, markdown_table
from measuring.replay import time_in_turn
from measuring.roofline import Peak, Work, measure_peak
from measuring.rounds import Stopwatch, Timing, crossover, exponents, interleave, stopwatch

__all__ = [
    "Goal",
    "Judged",
    "LayerClock",
    "Part",
    "Peak",
    "Stopwatch",
    "Timing",
    "Work",
    "crossover",
    "exponents",
    "fill_page",
    "goal_rows",
    "interleave",
    "launches_in_words",
    "markdown_table",
    "measure_peak",
    "print_goals",
    "stopwatch",
    "time_in_turn",
]
