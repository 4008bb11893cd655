import { visibleLines } from '../../observe/control-characters.ts'

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

/** Control characters, which HTML must not contain, and what turns the direction of writing are made visible. */
function escaped(text: string): string {
  return visibleLines(text).replaceAll(MARKUP, (character) => ENTITIES[character]!)
}

const MARKUP = /[&<>"']/g

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
