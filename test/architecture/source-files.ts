import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseSync, Visitor, type Node } from 'oxc-parser'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface SourceFile {
  /** Relative to the folder that was read. */
  readonly path: string
  readonly text: string
  /** Comments blanked out, lines kept. */
  readonly code: string
  /** Strings, templates and regular expressions blanked out as well. */
  readonly bare: string
  readonly imports: readonly Import[]
}

export interface Import {
  /** Relative to the folder that was read for a file of ours, else the name of a package. */
  readonly target: string
  readonly ours: boolean
}

interface Span {
  readonly start: number
  readonly end: number
}

/** The TypeScript files of `src` or `bench`, sorted by path. */
export function readSourceFiles(folder: 'src' | 'bench'): readonly SourceFile[] {
  const paths = readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  return paths.toSorted().map((path) => sourceFile(path, readFileSync(`${ROOT}${folder}/${path}`, 'utf8')))
}

/** Throws where the text is no TypeScript. */
export function sourceFile(path: string, text: string): SourceFile {
  const { program, comments, errors } = parseSync(path, text)
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0]!.message}`)
  const specifiers: string[] = []
  const literals: Span[] = []
  const names = (node: { readonly source: Node | null }): void => {
    if (node.source?.type === 'Literal' && typeof node.source.value === 'string') specifiers.push(node.source.value)
  }
  new Visitor({
    ImportDeclaration: names,
    ExportNamedDeclaration: names,
    ExportAllDeclaration: names,
    ImportExpression: names,
    TSImportType: names,
    Literal: (node) => {
      if (typeof node.value === 'string' || 'regex' in node) literals.push(node)
    },
    TemplateElement: (node) => literals.push(node),
  }).visit(program)
  const code = blanked(text, comments)
  return { path, text, code, bare: blanked(code, literals), imports: specifiers.flatMap((name) => importOf(path, name)) }
}

function importOf(path: string, name: string): readonly Import[] {
  if (name.startsWith('node:')) return []
  if (name.startsWith('.')) return [{ target: new URL(name, `file:///${path}`).pathname.slice(1), ours: true }]
  return [{ target: /^(@[^/]+\/)?[^/]+/.exec(name)![0], ours: false }]
}

function blanked(text: string, spans: readonly Span[]): string {
  let rest = text
  for (const { start, end } of spans) rest = rest.slice(0, start) + rest.slice(start, end).replace(/[^\n]/g, ' ') + rest.slice(end)
  return rest
}
