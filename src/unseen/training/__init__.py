"""The game between the filter, the target model and the budget models."""
