/**
 * A password may appear in a message in many encodings: percent-encoded, as in a form, in JSON, in JSON within JSON, in SQL, in HTML. Instead of listing
 * encodings, this decodes both text and password to a common form and compares those.
 */

/** A range of a text. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** Where secrets occur in a text, in any encoding; in order and without overlap. An encoded backslash at an end of a secret may be left over. */
export function spansOf(text: string, secrets: readonly string[]): readonly Span[] {
  if (secrets.length === 0) return []
  const { letters, from, to } = reduced(text)
  const found = secrets.flatMap((secret) => {
    const spelt = reduced(secret).letters
    return [
      ...placesOf(text, secret).map((at) => ({ from: at, to: at + secret.length })),
      ...placesOf(letters, spelt).map((at) => ({ from: from[at]!, to: to[at + spelt.length - 1]! })),
    ]
  })
  const spans: Span[] = []
  for (const span of found.toSorted((a, b) => a.from - b.from)) {
    const last = spans.at(-1)
    if (last === undefined || span.from >= last.to) spans.push(span)
    else spans[spans.length - 1] = { from: last.from, to: Math.max(last.to, span.to) }
  }
  return spans
}

/** A text with all encodings removed. */
export function unspelt(text: string): string {
  return Buffer.from(reduced(text).letters, 'latin1').toString('utf8')
}

/** The most characters that a character of a secret takes: three bytes in UTF-8, percent-encoded twice; or an escape whose backslash is escaped twice. */
export const LONGEST_SPELLING = 16

/** A text as the bytes of its UTF-8, a character each, and where in the text each of them comes from. */
interface Reduced {
  readonly letters: string
  readonly from: readonly number[]
  readonly to: readonly number[]
}

/** How many nested encodings are decoded. */
const MOST_LAYERS = 6

const ENCODED =
  /%([0-9a-f]{2})|((?:\\+u[0-9a-f]{4})+)|\\+u\{([0-9a-f]{1,6})\}|\\+x([0-9a-f]{2})|&#0*([0-9]{1,7});|&#x0*([0-9a-f]{1,6});|&(amp|lt|gt|quot|apos);|\\+|'{2,}|"{2,}|[+\n\r\t]/gi

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
/** A space in a form; and what remains of JSON's escapes without their backslash. */
const WRITTEN: Readonly<Record<string, string>> = { '+': ' ', '\n': 'n', '\r': 'r', '\t': 't' }

function reduced(text: string): Reduced {
  let whole = bytesOf(text)
  for (let layer = 0; layer < MOST_LAYERS; layer++) {
    const next = withoutOneLayer(whole)
    if (next.letters === whole.letters) break
    whole = next
  }
  return whole
}

function bytesOf(text: string): Reduced {
  const letters: string[] = []
  const from: number[] = []
  const to: number[] = []
  let at = 0
  for (const character of text) {
    const bytes = utf8(character)
    letters.push(bytes)
    for (let each = 0; each < bytes.length; each++) {
      from.push(at)
      to.push(at + character.length)
    }
    at += character.length
  }
  return { letters: letters.join(''), from, to }
}

function withoutOneLayer({ letters, from, to }: Reduced): Reduced {
  const left: { readonly letters: string[]; readonly from: number[]; readonly to: number[] } = { letters: [], from: [], to: [] }
  const keep = (start: number, end: number): void => {
    left.letters.push(letters.slice(start, end))
    for (let at = start; at < end; at++) {
      left.from.push(from[at]!)
      left.to.push(to[at]!)
    }
  }
  let at = 0
  for (const match of letters.matchAll(ENCODED)) {
    const end = match.index + match[0].length
    keep(at, match.index)
    const meant = meantBy(match)
    left.letters.push(meant)
    for (let each = 0; each < meant.length; each++) {
      left.from.push(from[match.index]!)
      left.to.push(to[end - 1]!)
    }
    at = end
  }
  keep(at, letters.length)
  return { ...left, letters: left.letters.join('') }
}

function meantBy([all, percent, units, point, byte, decimal, hexadecimal, named]: RegExpExecArray): string {
  if (percent !== undefined) return String.fromCharCode(parseInt(percent, 16))
  if (units !== undefined) return utf8(units.replaceAll(/\\+u(....)/gi, (_, unit: string) => String.fromCharCode(parseInt(unit, 16))))
  const code = point ?? byte ?? hexadecimal
  if (code !== undefined) return encoded(parseInt(code, 16))
  if (decimal !== undefined) return encoded(Number(decimal))
  if (named !== undefined) return NAMED[named.toLowerCase()]!
  if (all.startsWith('\\')) return ''
  return WRITTEN[all] ?? all[0]!
}

function encoded(code: number): string {
  return code > 0x10ffff ? '' : utf8(String.fromCodePoint(code))
}

function utf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

function placesOf(text: string, part: string): readonly number[] {
  const places: number[] = []
  if (part === '') return places
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) places.push(at)
  return places
}
