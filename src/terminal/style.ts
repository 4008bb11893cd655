import { takesControlCharacters } from '../observe/control-characters.ts'
import type { Host } from '../program.ts'

/** What may be written to where the answer goes. */
export interface Style {
  /** Colours and cursor movements. */
  readonly control: boolean
  /** Characters beyond ASCII. */
  readonly unicode: boolean
  /** Infinity where lines may be of any length: off a terminal. */
  readonly columns: number
}

/** What a terminal that does not tell its width is taken to have. */
const USUAL_COLUMNS = 80

export function styleOf({ terminal, env }: Pick<Host, 'terminal' | 'env'>): Style {
  return {
    control: terminal.output && takesControlCharacters(env),
    unicode: /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''),
    columns: terminal.output ? terminal.columns() || USUAL_COLUMNS : Infinity,
  }
}

/** Bold and red alone: every other colour is hard to read on a light background or on a dark one. */
export function bold(text: string, { control }: Style): string {
  return control ? `\u001B[1m${text}\u001B[22m` : text
}

export function red(text: string, { control }: Style): string {
  return control ? `\u001B[31m${text}\u001B[39m` : text
}
