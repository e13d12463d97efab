"""A capture as a message sequence chart: who said what to whom, step by step, as a page, a drawing or plain text."""
