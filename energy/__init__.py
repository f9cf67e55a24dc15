"""What an inference costs: the papers' theory and estimates that count memory; nothing here was measured."""
