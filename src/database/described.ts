import type { ObjectKind, SchemaObject } from './examining.ts'

/** What one migration makes of or on one table or view, a line each: `column id bigint NOT NULL`. A name that is no plain word is in double quotes, as JSON has it. */
export function madeBy(version: number, of: string, lines: readonly string[]): readonly SchemaObject[] {
  return lines.map((line) => {
    const [, kind = '', name = '', is = ''] = LINE.exec(line) ?? []
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `npm run docs:shapes` writes kinds, and a test compares the result with every engine
    return { kind: kind as ObjectKind, of, name: name.startsWith('"') ? (JSON.parse(name) as string) : name, is, version }
  })
}

const LINE = /^(\w+) (\w+|"(?:[^"\\]|\\.)*")(?: ([\s\S]*))?$/

/** The line of an object. */
export function describedText({ kind, name, is }: Pick<SchemaObject, 'kind' | 'name' | 'is'>): string {
  return `${kind} ${/^\w+$/.test(name) ? name : JSON.stringify(name)}${is === '' ? '' : ` ${is}`}`
}
