import { isUtf8 } from 'node:buffer'
import type { Query } from '../../query.ts'
import { builtIn, EQ } from '../exact.ts'
import { literal } from '../identifiers.ts'
import { stateOf } from '../postgres-errors.ts'

/** The encoding in which a server keeps text, where that is not UTF-8. Text is read as it is stored, and becomes UTF-8 here. */
export interface Charset {
  readonly encoding: string
  /** `undefined`: it is not text that comes back as the same bytes. */
  toUtf8(stored: Buffer): Buffer | undefined
  /** `undefined`: it has a character that the encoding lacks. */
  fromUtf8(text: Buffer): Buffer | undefined
}

/** Looks it up when it is first asked for; `undefined`: the server keeps text in UTF-8. */
export type LookUpCharset = () => Promise<Charset | undefined>

export function charsetOf(query: Query): LookUpCharset {
  let known: Promise<Charset | undefined> | undefined
  return () => {
    // A failed look-up is not cached: the next call may have a connection again.
    known ??= lookedUp(query).catch((error: unknown) => {
      known = undefined
      throw error
    })
    return known
  }
}

async function lookedUp(query: Query): Promise<Charset | undefined> {
  const { rows } = await query.query<{ encoding: string }>('SELECT pg_catalog.getdatabaseencoding()::pg_catalog.text AS encoding')
  const encoding = rows[0]?.encoding ?? 'SQL_ASCII'
  if (encoding === 'UTF8') return undefined
  if (encoding === 'SQL_ASCII') return { encoding, toUtf8: (stored) => (isUtf8(stored) ? stored : undefined), fromUtf8: (text) => text }
  return tableCharset(encoding, await charactersOf(query, encoding))
}

/** A character as it is stored and in UTF-8, both in hexadecimal. */
type Character = readonly [stored: string, utf8: string]

/** `characters`: all but those of ASCII, which every encoding of a server has as one byte. */
export function tableCharset(encoding: string, characters: readonly Character[]): Charset {
  const byStored = new Map(characters.map(([stored, utf8]) => [Number.parseInt(stored, 16), Buffer.from(utf8, 'hex')]))
  const byText = new Map(characters.map(([stored, utf8]) => [Buffer.from(utf8, 'hex').toString(), Buffer.from(stored, 'hex')]))
  // In EUC_JIS_2004 some characters are two of Unicode, each of which may also be stored alone.
  const areUnique = [...byText.keys()].every((text) => Array.from(text).length === 1)
  const fromUtf8 = (text: Buffer): Buffer | undefined => encoded(text.toString(), byText)
  return {
    encoding,
    toUtf8(stored) {
      const text = decoded(stored, byStored)
      return text === undefined || areUnique || fromUtf8(text)?.equals(stored) === true ? text : undefined
    },
    fromUtf8,
  }
}

const ASCII_END = 0x80
const LONGEST_CHARACTER = 4

function decoded(stored: Buffer, characters: ReadonlyMap<number, Buffer>): Buffer | undefined {
  const pieces: Buffer[] = []
  for (let at = 0; at < stored.length;) {
    const from = at
    while (at < stored.length && stored[at]! < ASCII_END) at += 1
    if (at > from) pieces.push(stored.subarray(from, at))
    if (at === stored.length) break
    let character: Buffer | undefined
    // No code is the beginning of another.
    for (let length = 1, code = 0; character === undefined && length <= LONGEST_CHARACTER && at < stored.length; length += 1) {
      code = code * 256 + stored[at]!
      at += 1
      character = characters.get(code)
    }
    if (character === undefined) return undefined
    pieces.push(character)
  }
  return Buffer.concat(pieces)
}

function encoded(text: string, characters: ReadonlyMap<string, Buffer>): Buffer | undefined {
  const pieces: Buffer[] = []
  const points = Array.from(text)
  for (let at = 0; at < points.length; at += 1) {
    const point = points[at]!
    const pair = characters.get(point + (points[at + 1] ?? ''))
    if (pair !== undefined && at + 1 < points.length) {
      pieces.push(pair)
      at += 1
      continue
    }
    const stored = point.codePointAt(0)! < ASCII_END ? Buffer.from(point) : characters.get(point)
    if (stored === undefined) return undefined
    pieces.push(stored)
  }
  return Buffer.concat(pieces)
}

/** The text with something in place of each character that the encoding lacks. */
export function storableIn(charset: Charset | undefined, text: string): string {
  if (charset === undefined) return text
  return Array.from(text, (each) => (charset.fromUtf8(Buffer.from(each)) === undefined ? (each === '…' ? '...' : '?') : each)).join('')
}

/** Where the codes of an encoding are: after each of these beginnings, so many bytes of at least `from`. */
interface Codes {
  readonly beginnings: readonly string[]
  readonly bytes: 1 | 2
  readonly from: number
}

function codesOf(encoding: string): readonly Codes[] {
  if (!encoding.startsWith('EUC_')) return [{ beginnings: [''], bytes: 1, from: ASCII_END }]
  // The server takes the first seven planes.
  const planes = Array.from({ length: 7 }, (_, plane) => `8e${(0xa1 + plane).toString(16)}`)
  return [
    { beginnings: encoding === 'EUC_TW' ? ['', ...planes] : ['', '8f'], bytes: 2, from: 0xa1 },
    { beginnings: ['8e'], bytes: 1, from: 0xa1 },
  ]
}

/**
 * The characters that go to UTF-8 and back unchanged, as the server's own conversion has them. In a block, because a code without a
 * character is an error, and each error outside one would be a line in the server's log.
 */
async function charactersOf(query: Query, encoding: string): Promise<readonly Character[]> {
  const name = `${literal(encoding)}::pg_catalog.name`
  const blocks = codesOf(encoding).map(
    ({ beginnings, bytes, from }) => `
  FOREACH beginning IN ARRAY ARRAY[${beginnings.map((each) => bytesSql(`'${each}'`)).join(', ')}] LOOP
    FOR one IN ${from}..255 LOOP
      FOR two IN ${bytes === 1 ? '0..0' : `${from}..255`} LOOP
        code := beginning ${CONCATENATED} ${byteSql('one')}${bytes === 1 ? '' : ` ${CONCATENATED} ${byteSql('two')}`};
        BEGIN
          utf8 := pg_catalog.convert(code, ${name}, 'UTF8'::pg_catalog.name);
          IF pg_catalog.convert(utf8, 'UTF8'::pg_catalog.name, ${name}) ${EQ} code THEN
            line := line ${CONCATENATED} ${hexadecimal('code')} ${CONCATENATED} '='::pg_catalog.text ${CONCATENATED} ${hexadecimal('utf8')} ${CONCATENATED} ' '::pg_catalog.text;
          END IF;
        EXCEPTION WHEN data_exception THEN
          NULL;
        END;
      END LOOP;
      found := found ${CONCATENATED} line;
      line := ''::pg_catalog.text;
    END LOOP;
  END LOOP;`,
  )
  try {
    // One message, hence one transaction, at whose end the setting is gone.
    const { rows } = await query.query<{ found: string }>(`DO LANGUAGE plpgsql $characters$
DECLARE
  beginning pg_catalog.bytea;
  code pg_catalog.bytea;
  utf8 pg_catalog.bytea;
  line pg_catalog.text := ''::pg_catalog.text;
  found pg_catalog.text := ''::pg_catalog.text;
BEGIN${blocks.join('')}
  PERFORM pg_catalog.set_config('mcp_gateway_maintenance.characters'::pg_catalog.text, found, true);
END
$characters$;
SELECT pg_catalog.current_setting('mcp_gateway_maintenance.characters'::pg_catalog.text) AS found`)
    return (rows[0]?.found ?? '').split(' ').flatMap((pair): Character[] => {
      const [stored, utf8] = pair.split('=')
      return stored === undefined || utf8 === undefined ? [] : [[stored, utf8]]
    })
  } catch (error) {
    // A server without PL/pgSQL for this role: its text is archived as bytes.
    if (WITHOUT_LANGUAGE.has(stateOf(error) ?? '')) return []
    throw error
  }
}

/** insufficient_privilege and undefined_object. */
const WITHOUT_LANGUAGE: ReadonlySet<string> = new Set(['42501', '42704'])

const CONCATENATED = builtIn('||')

function bytesSql(digits: string): string {
  return `pg_catalog.decode(${digits}::pg_catalog.text, 'hex'::pg_catalog.text)`
}

function byteSql(number: string): string {
  return `pg_catalog.set_byte(${bytesSql("'00'")}, 0, ${number})`
}

function hexadecimal(bytes: string): string {
  return `pg_catalog.encode(${bytes}, 'hex'::pg_catalog.text)`
}
