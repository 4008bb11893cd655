import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url))

export interface SourceFile {
  /** Relative to `src/`. */
  readonly path: string
  readonly text: string
  /** Comments blanked out, lines kept. */
  readonly code: string
  /** Strings and regular expressions blanked out as well. */
  readonly bare: string
  readonly imports: readonly Import[]
}

export interface Import {
  /** Relative to `src/` for a file of ours, else the name of a package. */
  readonly target: string
  readonly ours: boolean
}

export function readSourceFiles(): readonly SourceFile[] {
  const paths = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  return paths.toSorted().map((path) => sourceFile(path, readFileSync(`${SOURCE}${path}`, 'utf8')))
}

export function sourceFile(path: string, text: string): SourceFile {
  const { code, bare } = blanked(text)
  return { path, text, code, bare, imports: importsOf(path, code, bare) }
}

/** `import … from`, `export … from`, `import '…'` and `import('…')`; the keyword is looked for outside strings. */
function importsOf(path: string, code: string, bare: string): Import[] {
  const found: Import[] = []
  for (const match of code.matchAll(/(?<!\.)\b(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g)) {
    if (!/^(from|import)/.test(bare.slice(match.index))) continue
    const name = match[2]!
    if (name.startsWith('.')) found.push({ target: new URL(name, `file:///${path}`).pathname.slice(1), ours: true })
    else if (!name.startsWith('node:')) found.push({ target: /^(@[^/]+\/)?[^/]+/.exec(name)![0], ours: false })
  }
  return found
}

const TOKEN =
  /(?<comment>\/\/[^\n]*|\/\*[^]*?\*\/)|(?<string>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|(?<template>`|\})|(?<regex>\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*)|(?<open>\{)/g

/** What may stand before a regular expression; anything else makes the slash a division. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+~<>]|\breturn|\bcase|=>)\s*$/

function blanked(text: string): { code: string; bare: string } {
  let code = text
  let bare = text
  // For each `${` that is open: how many braces were opened inside it since.
  const nested: number[] = []
  TOKEN.lastIndex = 0
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const { comment, string, template, regex, open } = match.groups!
    const end = match.index + match[0].length
    if (comment !== undefined) {
      code = blank(code, match.index, end)
      bare = blank(bare, match.index, end)
    } else if (string !== undefined) bare = blank(bare, match.index + 1, end - 1)
    else if (regex !== undefined) {
      if (BEFORE_REGEX.test(bare.slice(0, match.index))) bare = blank(bare, match.index + 1, end - 1)
      else TOKEN.lastIndex = match.index + 1
    } else if (open !== undefined) {
      if (nested.length > 0) nested[nested.length - 1]! += 1
    } else if (template === '}' && nested.length === 0) continue
    else if (template === '}' && nested.at(-1)! > 0) nested[nested.length - 1]! -= 1
    else {
      if (template === '}') nested.pop()
      const { stop, interpolates } = endOfTemplate(text, end)
      if (interpolates) nested.push(0)
      bare = blank(bare, end, stop)
      TOKEN.lastIndex = stop + (interpolates ? 2 : 1)
    }
  }
  return { code, bare }
}

function blank(text: string, start: number, end: number): string {
  return text.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, ' ') + text.slice(end)
}

/** From inside a template to its closing backtick or its next `${`. */
function endOfTemplate(text: string, from: number): { stop: number; interpolates: boolean } {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '`') return { stop: at, interpolates: false }
    else if (text[at] === '$' && text[at + 1] === '{') return { stop: at, interpolates: true }
  }
  return { stop: text.length, interpolates: false }
}
