"""The paper's tables and figures: what runs each needs, and how it comes about."""
