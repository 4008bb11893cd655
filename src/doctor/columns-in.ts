/** The columns of a key or an index, in order: `(job, started_at)`. Those of an expression are one. */
export function columnsIn(definition: string): readonly string[] {
  const [, list = definition] = /\((.*)\)/.exec(definition) ?? []
  return list.split(', ')
}

/** What an index is, so that two that do the same are equal: whichever way a single column is sorted, it is read both ways. */
export function canonicalIndex(definition: string): string {
  return definition.replace(/^(?:PRIMARY KEY|UNIQUE) /, '').replace(/^\(([^(),]+?) DESC\)/, '($1)')
}
