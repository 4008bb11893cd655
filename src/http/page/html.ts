/** A piece of HTML. Only `html` makes one, so what is in it was either written in our source or escaped. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** What may stand in a template: text is escaped, lists are joined; `undefined` and `null` are nothing. */
export type Part = Html | string | number | undefined | null | readonly Part[]

/** In text and between quotation marks; nothing is safe in an attribute without them, in a style or in a script. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(texts.map((text, index) => text.replaceAll(INDENTATION, '\n') + written(parts[index])).join(''))
}

/** Of our source; it says nothing to a browser. */
const INDENTATION = /\s*\n\s*/g

function written(part: Part): string {
  if (part === undefined || part === null) return ''
  if (part instanceof Html) return part.text
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part))
  return part.map(written).join('')
}

function escaped(text: string): string {
  return text.replaceAll(MARKUP, (character) => ENTITIES[character] ?? '\uFFFD')
}

/** Also the control characters that HTML must not contain, written or not. */
// oxlint-disable-next-line no-control-regex -- these are meant
const MARKUP = /[&<>"'\0-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]/g

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
