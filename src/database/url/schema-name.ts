/** What the server cuts a name to, in silence. */
const LONGEST_BYTES = 63

/** Schemas of the server itself: no gateway has its tables there. PostgreSQL's own rule, which knows capitals from small letters. */
export function isSystemSchema(name: string): boolean {
  return name.startsWith('pg_') || name === 'information_schema'
}

/** Why a schema of this name cannot hold the gateway's tables, or `undefined`. */
export function schemaNameProblem(name: string): string | undefined {
  if (isSystemSchema(name)) return 'is a schema of the server itself; name the one that holds the gateway’s tables'
  if (Buffer.byteLength(name) > LONGEST_BYTES) return `is longer than ${LONGEST_BYTES} bytes, the most that a schema’s name can have`
  return undefined
}
