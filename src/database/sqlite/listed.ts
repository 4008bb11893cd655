/** Row numbers as one JSON text to be bound, for json_each. */
export function listed(rowids: readonly (number | bigint)[]): string {
  return `[${rowids.join(',')}]`
}
