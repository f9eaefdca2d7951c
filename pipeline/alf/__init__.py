"""The ALF convention as data: columns, objects, the safe reader, rejection reasons. No database."""
