import { visibleLines } from '../../observe/control-characters.ts'

/** A piece of HTML. Made only by `html`, and from a constant in `page-style.ts`, so all of it was either written in our source or escaped. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** A part of a template: text is escaped, lists are joined, `undefined` and `null` leave nothing. */
export type Part = Html | string | number | undefined | null | readonly Part[]

/** Parts are safe in text and between quotation marks; in an attribute without them, in a style or in a script nothing is safe. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(texts.map((text, index) => text.replaceAll(INDENTATION, '\n') + written(parts[index])).join(''))
}

/** The indentation of our source, which means nothing to a browser. */
const INDENTATION = /\s*\n\s*/g

function written(part: Part): string {
  if (part === undefined || part === null) return ''
  if (part instanceof Html) return part.text
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part))
  return part.map(written).join('')
}

/** Also makes visible control characters, which HTML must not contain, and characters that change the direction of writing. */
function escaped(text: string): string {
  return visibleLines(text).replaceAll(MARKUP, (character) => ENTITIES[character]!)
}

const MARKUP = /[&<>"']/g

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
