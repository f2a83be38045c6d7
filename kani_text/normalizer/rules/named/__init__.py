"""Figures that are names and no amounts: codes, telephone numbers, places, letters in an order."""
