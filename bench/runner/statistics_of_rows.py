"""Medians with intervals, ratios, geometric means: plain functions of lists of numbers.

The interval of a median is the narrowest pair of order statistics, equally far from both ends, that
covers it with at least 95 %: 98.4 % for 7 values (least and greatest), 98.8 % for 11 (second and
tenth). Of fewer than 6 values none does; the least and the greatest are given then, and their
coverage tells so.
"""
import math


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def coverage(count, left_out):
    """Of the order statistics left_out + 1 and count - left_out, for the median of `count` values."""
    tail = sum(math.comb(count, i) for i in range(left_out + 1))
    return 1 - 2 * tail / 2 ** count


def interval(values):
    """(low, high, coverage)"""
    ordered = sorted(values)
    left_out = 0
    while left_out + 1 < len(ordered) / 2 and coverage(len(ordered), left_out + 1) >= 0.95:
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out], coverage(len(ordered), left_out)


def summary(values):
    low, high, covered = interval(values)
    return {"median": median(values), "low": low, "high": high, "coverage": round(covered, 4),
            "values": values}


def overlap(one, other):
    return one["low"] <= other["high"] and other["low"] <= one["high"]


def geometric_mean(values):
    values = list(values)
    if not values or min(values) <= 0:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))
