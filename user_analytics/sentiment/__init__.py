"""Sentiment of review texts: one tokeniser, training, the shipped model with its card, and scoring."""
