/** Row numbers as one bound value, for json_each. */
export function listed(rowids: readonly (number | bigint)[]): string {
  return `[${rowids.join(',')}]`
}
