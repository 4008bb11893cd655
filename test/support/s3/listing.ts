/** A page of a list, in the order of keys. */
export interface Page {
  readonly keys: readonly string[]
  /** Beginnings of keys, up to the delimiter, that stand for all keys that begin so. */
  readonly prefixes: readonly string[]
  /** Where the next page goes on; `undefined`: this is the last one. */
  readonly next: Position | undefined
}

/** After a key, or after all keys that begin so. */
export type Position = { readonly key: string } | { readonly prefix: string }

export interface Wanted {
  readonly prefix: string
  readonly delimiter: string
  readonly after: Position | undefined
  readonly most: number
}

/** `sorted`: all keys, by their bytes. */
export function pageOf(sorted: readonly string[], { prefix, delimiter, after, most }: Wanted): Page {
  const keys: string[] = []
  const prefixes: string[] = []
  let last: Position | undefined
  for (const key of sorted) {
    if (!key.startsWith(prefix) || (after !== undefined && !isAfter(key, after))) continue
    const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const group = end === -1 ? undefined : key.slice(0, end + delimiter.length)
    if (group !== undefined && group === prefixes.at(-1)) continue
    if (keys.length + prefixes.length === most) return { keys, prefixes, next: last }
    if (group === undefined) keys.push(key)
    else prefixes.push(group)
    last = group === undefined ? { key } : { prefix: group }
  }
  return { keys, prefixes, next: undefined }
}

function isAfter(key: string, after: Position): boolean {
  const place = 'key' in after ? after.key : after.prefix
  return Buffer.compare(Buffer.from(key), Buffer.from(place)) > 0 && !('prefix' in after && key.startsWith(after.prefix))
}
