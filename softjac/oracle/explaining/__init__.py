"""What the diagnosis looks at: evidence, symptoms, formulas, and rows made to ask for more."""
