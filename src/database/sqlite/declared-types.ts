/** Type names that programs declare. To SQLite a declared type is only an affinity. */
const KNOWN: ReadonlySet<string> = new Set(
  `INT INTEGER TINYINT SMALLINT MEDIUMINT BIGINT INT2 INT4 INT8 UNSIGNED_BIG_INT CHARACTER VARCHAR NCHAR NVARCHAR CHARACTER_VARYING TEXT CLOB BLOB REAL
  DOUBLE DOUBLE_PRECISION FLOAT NUMERIC DECIMAL BOOLEAN DATE DATETIME TIME TIMESTAMP JSON JSONB UUID BYTEA`.split(/\s+/),
)

/**
 * A type for CREATE TABLE in place of one that a file or another table declares, which may be any text: a known name with its length or, for any other,
 * the affinity that SQLite would give it, so that values are stored as they were.
 */
export function declaredType(type: string): string {
  const [, words, size = ''] = /^([A-Za-z0-9]+(?: [A-Za-z0-9]+)*)( ?\(\d{1,9}(?:, ?\d{1,9})?\))?$/.exec(type) ?? []
  if (words !== undefined && KNOWN.has(words.toUpperCase().replaceAll(' ', '_'))) return words + size
  return affinityOf(type)
}

/** SQLite's rules of affinity, in their order. */
export function affinityOf(type: string): 'INTEGER' | 'TEXT' | '' | 'REAL' | 'NUMERIC' {
  if (/INT/i.test(type)) return 'INTEGER'
  if (/CHAR|CLOB|TEXT/i.test(type)) return 'TEXT'
  if (type === '' || /BLOB/i.test(type)) return ''
  return /REAL|FLOA|DOUB/i.test(type) ? 'REAL' : 'NUMERIC'
}
