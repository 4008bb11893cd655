/** The server silently truncates longer names. */
const LONGEST_BYTES = 63

/** The server's own schemas, by PostgreSQL's rule, which is case-sensitive. No gateway has its tables there. */
export function isSystemSchema(name: string): boolean {
  return name.startsWith('pg_') || name === 'information_schema'
}

/** Why a schema of this name cannot hold the gateway's tables, or `undefined`. */
export function schemaNameProblem(name: string): string | undefined {
  if (isSystemSchema(name)) return 'is one of the server’s own schemas; name the one that holds the gateway’s tables'
  if (Buffer.byteLength(name) > LONGEST_BYTES) return `is longer than ${LONGEST_BYTES} bytes, the limit for a schema’s name`
  return undefined
}
