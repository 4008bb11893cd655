import { takesControlCharacters, visible } from '../observe/control-characters.ts'
import { columnsOf } from '../observe/width.ts'
import type { Host } from '../program.ts'

/** What the output may contain. */
export interface Style {
  /** Colours and cursor movements. */
  readonly control: boolean
  /** Characters beyond ASCII. */
  readonly unicode: boolean
  /** Infinity off a terminal, where lines may have any length. */
  readonly columns: number
}

export function styleOf({ terminal, env }: Pick<Host, 'terminal' | 'env'>): Style {
  return {
    control: terminal.output && takesControlCharacters(env),
    unicode: /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''),
    columns: columnsOf(terminal, 'output'),
  }
}

/** A piece of a line for a terminal. Only the functions below make one, so all of it was either written in our source or made visible. */
export class Ink {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** A part of a line; in a text, control characters are made visible, whoever wrote it. */
export type Part = Ink | string

export function ink(texts: TemplateStringsArray, ...parts: readonly Part[]): Ink {
  return new Ink(texts.map((text, index) => text + inked(parts[index] ?? '')).join(''))
}

export function inked(part: Part): string {
  return part instanceof Ink ? part.text : visible(part)
}

/** Only bold and red: every other colour is hard to read on a light background or on a dark one. */
export function bold(text: string, { control }: Style): Ink {
  return control ? new Ink(`\u001B[1m${visible(text)}\u001B[22m`) : ink`${text}`
}

export function red(text: string, { control }: Style): Ink {
  return control ? new Ink(`\u001B[31m${visible(text)}\u001B[39m`) : ink`${text}`
}
