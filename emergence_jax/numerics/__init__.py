"""Numerics: functions of arrays and operators, independent of models."""
