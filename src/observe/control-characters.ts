/** Whether to send colours and cursor movements to a terminal: not if the environment asks for none. */
export function takesControlCharacters(env: Readonly<Record<string, string | undefined>>): boolean {
  return isEmpty(env['NO_COLOR']) && isEmpty(env['CI']) && env['TERM'] !== 'dumb'
}

/** As https://no-color.org has it: an empty variable counts as not set. */
function isEmpty(value: string | undefined): boolean {
  return value === undefined || value === ''
}

/**
 * A text that is safe to show on a terminal or a page, on one line. Characters that are invisible but change how others are shown, or what the terminal
 * does, are written as escapes: control characters, line breaks, marks of writing direction, invisible characters, lone surrogates.
 */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN, escape)
}

/** The same, line by line. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n')
}

/**
 * A JSON text with invisible characters written as JSON escapes, which parse to the same values. `JSON.stringify` only escapes those below U+0020. Newlines
 * outside strings are layout and stay.
 */
export function visibleJson(json: string): string {
  return UNSEEN_IN_JSON.test(json) ? json.replaceAll(EACH_UNSEEN_IN_JSON, jsonEscape) : json
}

/** A JSON document to print or serve, safe to view on a terminal. */
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
