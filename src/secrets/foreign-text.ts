import { LONGEST_SPELLING, spansOf, unspelt } from './spellings.ts'

/**
 * Texts of a driver, a server or the system may contain a password. It is removed where such a text enters the program, and nowhere else: our own sentences,
 * keys, names and numbers are never searched, because a mask inside one of our words would reveal that the password is that word.
 */

/** Reduces a text to one line of limited length, without anything that looks like a credential, and without these secrets where they cannot be ordinary words. */
export function foreignText(text: string, secrets: readonly string[] = []): string {
  const long = text.length > MOST_SEARCHED
  // A password that is cut off ends where the text is cut.
  const known = long ? `${withoutSecrets(text, secrets)}@` : withoutSecrets(text, secrets)
  const line = onOneLine(withoutCredentials(known).trim())
  return long || line.length > MOST_KEPT ? `${line.slice(0, MOST_KEPT)}…` : line
}

/** The part of a text that is searched. A secret that begins in it is matched beyond its end. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  const longest = Math.max(0, ...secrets.map(({ length }) => length))
  const spans = spansOf(text.slice(0, MOST_SEARCHED + LONGEST_SPELLING * longest), secrets)
  let left = ''
  let at = 0
  for (const { from, to } of spans) {
    if (from >= MOST_SEARCHED) break
    left += `${text.slice(at, from)}${MASK}`
    at = to
  }
  return at < MOST_SEARCHED ? left + text.slice(at, MOST_SEARCHED) : left
}

/** Only we start new lines: a foreign text or name with line breaks could pass for one of our messages. */
export function onOneLine(text: string): string {
  const [first = '', ...more] = text.split(LINE_BREAK)
  if (more.length === 0) return text
  return [first.trimEnd(), ...more.map((line) => line.trim())].filter((line) => line !== '').join(' ')
}

/** Masks anything that looks like a credential: the password in a URL, the value after `password=`. */
export function withoutCredentials(text: string): string {
  return FORMS.reduce((rest, form) => rest.replaceAll(form, (_, before: string) => `${before}${MASK}`), text)
}

/**
 * Whether a secret, where it occurs in a text, can only be the secret. A password that is an ordinary word, a name or a number occurs in many texts, and
 * masking it there would give it away. The same holds for one that is also the name of a user, a host or a database.
 */
export function isUnmistakable(secret: string, names: readonly (string | undefined)[]): boolean {
  return [secret, unspelt(secret)].every(
    (spelt) =>
      !names.some((name) => name?.includes(spelt) === true || unspelt(name ?? '').includes(spelt)) &&
      spelt.length >= LEAST_LETTERS &&
      (spelt.length > LONGEST_NAME || !WORDS.test(spelt)),
  )
}

const MASK = '***'

/** Enough for any message; a trigger may raise an error of megabytes. */
const MOST_KEPT = 2_000
/** More than is kept, because the text may be cut in the middle of a secret. */
const MOST_SEARCHED = 8 * MOST_KEPT

const NAMES = String.raw`(?:pass(?:word|wd|phrase|wort)|(?<![a-z])pass|pwd|secret|token|api[_-]?key|access[_-]?key)`
/** In quotation marks, which may be escaped, or up to the next blank or separator; what a mask was put before is part of it. */
const VALUE = String.raw`(?:(?<mark>\\+["'])(?:(?!\k<mark>).)*(?:\k<mark>|$)|'(?:[^'\\]|\\.|'')*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|[^\s&;,'")\]}]+)`

/** What precedes the secret is the first group. */
const FORMS: readonly RegExp[] = [
  // In a URL, also with a single slash, as one looks that was taken for a path, or without its scheme. The password ends at the last @ before a
  // blank; where none is, the blank is part of it, unless it is no password but a port.
  /((?:[a-z][a-z0-9+.-]{1,30}:\/+|(?<![\w:/])\/\/)[^\s/:@?#]*:)(?:\S*(?=@)|(?!\d+(?:[/?#\s]|$)).*(?=@))/gi,
  /([a-z][a-z0-9+.-]{1,30}:\/+)[^\s/:?#]+(?=@)/gi,
  // A login before a host with its port or a path.
  /((?<![^\s"'(=,])[^\s/:@"'(=,]{1,63}:)(?!\/)\S{1,1000}(?=@[\w.-]{1,253}(?::\d|\/))/g,
  // As in connection strings, in a URL's query and in JSON.
  new RegExp(String.raw`(${NAMES}\\*["']?\s*[=:]\s*)${VALUE}`, 'gis'),
  // As an option of a command.
  new RegExp(String.raw`(--${NAMES}\s+)${VALUE}`, 'gis'),
  // In SQL.
  /(password\s+)'(?:[^']|'')*(?:'|$)/gi,
  /(password\s+)e'(?:[^'\\]|\\.|'')*(?:'|$)/gis,
  /(password\s+)\$(?<tag>\w*)\$(?:(?!\$\k<tag>\$).)*(?:\$\k<tag>\$|$)/gis,
  // In HTTP's headers.
  /(\bauthorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|digest|token)\s+)?)[^\s"',;]+/gi,
  /(\bbearer\s+)[\w.~+/=-]{16,}/gi,
]
const LINE_BREAK = /[\n\r\v\f\u0085\u2028\u2029]+/

const LEAST_LETTERS = 8
/** PostgreSQL's names are no longer. */
const LONGEST_NAME = 63
/** Words and numbers as they occur in sentences, names and addresses: `purge-audit-logs`, `postgres15`, `10.1.2.3:5432`, `permission denied`. */
const WORDS = /^[\s.,:;/()[\]"'=<>*_-]*(?:\p{L}+\p{N}*|\p{N}+)(?:[\s.,:;/()[\]"'=<>*_-]+(?:\p{L}+\p{N}*|\p{N}+))*[\s.,:;/()[\]"'=<>*_-]*$/u
