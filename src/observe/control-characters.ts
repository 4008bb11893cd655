/** Whether a terminal is to be sent colours and cursor movements: what its user and its surroundings ask not to get is not sent. */
export function takesControlCharacters(env: Readonly<Record<string, string | undefined>>): boolean {
  return isEmpty(env['NO_COLOR']) && isEmpty(env['CI']) && env['TERM'] !== 'dumb'
}

/** As https://no-color.org has it: an empty variable counts as not set. */
function isEmpty(value: string | undefined): boolean {
  return value === undefined || value === ''
}

/**
 * A text as it may stand on a terminal or a page, on one line. What is not seen by itself but changes how other characters are seen, or what the
 * terminal does, is written as an escape: control characters, ends of lines, marks of writing direction, invisible characters, halves of pairs.
 */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN, escape)
}

/** The same, line by line. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n')
}

/**
 * A JSON text in which what is not seen is written as JSON's own escapes: whoever parses it gets the same values. `JSON.stringify` escapes what is
 * below U+0020 alone. A newline outside of a string is the layout's.
 */
export function visibleJson(json: string): string {
  return UNSEEN_IN_JSON.test(json) ? json.replaceAll(EACH_UNSEEN_IN_JSON, jsonEscape) : json
}

/** A document that is printed or served, for programs and for whoever looks at it on a terminal. */
export function jsonDocument(value: object): string {
  return `${visibleJson(JSON.stringify(value, null, 2))}\n`
}

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escape(character: string): string {
  const code = character.codePointAt(0)!.toString(16)
  return SHORT[character] ?? (code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`)
}

const UNSEEN_IN_JSON = /[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]--\n]/v
const EACH_UNSEEN_IN_JSON = new RegExp(UNSEEN_IN_JSON, 'gv')

/** A character beyond U+FFFF is two escapes. */
function jsonEscape(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}
