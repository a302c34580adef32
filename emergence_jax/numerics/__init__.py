"""Numerics: functions of arrays and operators, which know no models."""
