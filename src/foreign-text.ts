/**
 * What a driver, a server or the system says is not ours, and may hold a password. It is taken out where such a text comes in, and nowhere else:
 * our own sentences, keys, names and numbers are never searched, since whoever sees a hole in a word of ours reads the password from it.
 */

/** One line that is not too long, without what has the form of a credential, and without these secrets where they cannot be taken for anything else. */
export function foreignText(text: string, secrets: readonly string[] = []): string {
  const hidden = secrets.flatMap(spellings).toSorted((a, b) => b.length - a.length)
  const most = MOST_SEARCHED + (hidden[0]?.length ?? 0)
  // A password that the cut leaves without its end ends there.
  const searched = text.length > most ? `${text.slice(0, most)}@` : text
  const known = hidden.reduce((rest, secret) => rest.replaceAll(secret, MASK), searched)
  const line = onOneLine(withoutCredentials(known).trim())
  return line.length > MOST_KEPT || text.length > most ? `${line.slice(0, MOST_KEPT)}…` : line
}

/** Lines are ours: a text or a name that brings its own could pass for one of our messages. */
export function onOneLine(text: string): string {
  const [first = '', ...more] = text.split(LINE_BREAK)
  if (more.length === 0) return text
  return [first.trimEnd(), ...more.map((line) => line.trim())].filter((line) => line !== '').join(' ')
}

/** Without what has the form of a credential, whoever's it is: the password in a URL, what stands behind `password=`. */
export function withoutCredentials(text: string): string {
  return text
    .replaceAll(PASSWORD, (_, login: string) => `${login}${MASK}@`)
    .replaceAll(TOKEN, (_, scheme: string) => `${scheme}${MASK}@`)
    .replaceAll(NAMED, (_, name: string) => `${name}${MASK}`)
    .replaceAll(IN_SQL, (_, name: string) => `${name}'${MASK}'`)
}

/**
 * Whether a secret's letters, where they stand in a text, can only be the secret. A password that is a word, a name or a number stands in many
 * texts by itself, and to take it out of them would give it away; so would one that is also the name of a user, a host or a database.
 */
export function isUnmistakable(secret: string, names: readonly (string | undefined)[]): boolean {
  if (names.some((name) => name?.includes(secret) === true)) return false
  return secret.length >= LEAST_LETTERS && (secret.length > LONGEST_NAME || !WORDS.test(secret))
}

const MASK = '***'

/** Enough for any message; a trigger may raise megabytes. */
const MOST_KEPT = 2_000
/** More than is kept: what is cut at its end may be half a secret. */
const MOST_SEARCHED = 8 * MOST_KEPT

/**
 * Also with a single slash, as a URL looks that was taken for a path. The password ends at the last @ before a blank; where none is, the blank is
 * part of it, unless it is no password but a port.
 */
const PASSWORD = /([a-z][a-z0-9+.-]{1,30}:\/+[^\s/:@?#]*:)(?!\*\*\*@)(?:\S*@|(?!\d+(?:[/?#\s]|$)).*@)/gi
const TOKEN = /([a-z][a-z0-9+.-]{1,30}:\/+)(?!\*\*\*@)[^\s/:@?#]+@/gi
/** As in connection strings, in a URL's query and in JSON; in quotation marks or up to the next blank or separator. */
const NAMED =
  /((?:password|passwd|passphrase|pwd|secret|token)["']?\s*[=:]\s*)(?!\*\*\*)(?:'(?:[^'\\]|\\.|'')*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|[^\s&;,'")\]}]+)/gi
const IN_SQL = /(password\s+)'(?:[^']|'')*(?:'|$)/gi
const LINE_BREAK = /[\n\r\v\f\u0085\u2028\u2029]+/

const LEAST_LETTERS = 8
/** PostgreSQL's names are no longer. */
const LONGEST_NAME = 63
/** Words and numbers as they stand in sentences, names and addresses: `purge-audit-logs`, `postgres15`, `10.1.2.3:5432`, `permission denied`. */
const WORDS = /^[\s.,:;/()[\]"'=<>*_-]*(?:\p{L}+\p{N}*|\p{N}+)(?:[\s.,:;/()[\]"'=<>*_-]+(?:\p{L}+\p{N}*|\p{N}+))*[\s.,:;/()[\]"'=<>*_-]*$/u

/** As it is, and as programs write it: percent-encoded once or twice, as a form, in JSON, in SQL. */
function spellings(secret: string): readonly string[] {
  const encoded = encodeURIComponent(secret.toWellFormed())
  const lower = encoded.replaceAll(/%../g, (byte) => byte.toLowerCase())
  return [
    ...new Set([
      secret,
      encoded,
      lower,
      encoded.replaceAll('%20', '+'),
      encodeURIComponent(encoded),
      encodeURIComponent(lower),
      JSON.stringify(secret).slice(1, -1),
      secret.replaceAll("'", "''"),
    ]),
  ]
}
