import { MOST_ESCAPED } from '../../exporting/json-text.ts'
import { EQ, GT, LE, PLUS, textOf, TIMES } from '../exact.ts'
import { valueText, type RecordColumn } from '../exporting/stored-rows.ts'
import { quoted } from '../identifiers.ts'

/** The most bytes around a value; also the most that an integer, a time or a boolean takes as a whole. */
const AROUND_BYTES = 64

/**
 * A condition for every statement on a slice: whether the line of a row of the alias `t` has at most so many bytes. For nearly every row
 * the lengths of its values decide, for which the server need not decompress large ones. Only if a row comes near the limit are its escapes
 * counted, by the server's own JSON functions, which escape as we do. A line may be overestimated, by what is around its values at most.
 */
export function fitsSql(columns: readonly RecordColumn[], longestBytes: number): string {
  const around = columns.reduce((sum, { name }) => sum + Buffer.byteLength(JSON.stringify(name)) + AROUND_BYTES, 0)
  const lengths = columns.flatMap(lengthOf)
  if (lengths.length === 0) return 'true'
  const bytes = sumOf(lengths.map(({ bytes: each }) => each))
  const written = sumOf(lengths.map(({ written: each }) => each))
  const most = whole(longestBytes - around)
  return `CASE WHEN (${bytes} ${TIMES} ${whole(MOST_ESCAPED)}) ${LE} ${most} THEN true WHEN ${bytes} ${GT} ${most} THEN false ELSE ${written} ${LE} ${most} END`
}

/** The first letters of a row's `id`, for people; empty if the table has none. */
export function idSql(columns: readonly RecordColumn[]): string {
  const id = columns.find(({ name }) => name === 'id')
  if (id === undefined) return "''::pg_catalog.text"
  const beginning = `pg_catalog."left"(coalesce(${valueText(id.base, `t.${quoted(id.name)}`)}, ''::pg_catalog.text), ${MOST_SHOWN})`
  // Its end may be within a character, or it may be no text of UTF-8 at all: the server would refuse to send it.
  return id.inCharset
    ? `pg_catalog.encode(pg_catalog.convert_to(${beginning}, 'SQL_ASCII'::pg_catalog.name), 'escape'::pg_catalog.text)`
    : beginning
}

const MOST_SHOWN = 64

interface Length {
  /** The least that it takes in a line. */
  readonly bytes: string
  /** What it takes in a line, with escapes. */
  readonly written: string
}

function lengthOf({ name, form, base, sql, inCharset }: RecordColumn): Length[] {
  const value = `t.${quoted(name)}`
  switch (form) {
    case 'integer':
    case 'timestamp':
    case 'timestamptz':
    case 'truth':
      return []
    case 'number':
      return [{ bytes: octets(sql), written: octets(sql) }]
    case 'bytes': {
      const hexadecimal = `(${octets(value)} ${TIMES} ${whole(2)})`
      return [{ bytes: hexadecimal, written: hexadecimal }]
    }
    case 'text': {
      const text = valueText(base, value)
      // In another encoding than UTF-8 a byte takes up to three bytes of UTF-8, or two digits.
      const widest = inCharset ? ` ${TIMES} ${whole(3)}` : ''
      const json = `CASE WHEN ${octets(text)} ${EQ} ${whole(0)} THEN ${whole(0)} ELSE (${octets(textOf(`pg_catalog.to_json(${text})`))}${widest}) END`
      return [{ bytes: octets(text), written: json }]
    }
  }
}

function octets(value: string): string {
  return `coalesce(pg_catalog.octet_length(${value})::pg_catalog.int8, ${whole(0)})`
}

function sumOf(numbers: readonly string[]): string {
  return `(${numbers.join(` ${PLUS} `)})`
}

function whole(number: number): string {
  return `'${number}'::pg_catalog.int8`
}
