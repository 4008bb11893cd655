import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type YAMLError } from 'yaml'
import { NOTHING, type Given, type Layer } from './layer.ts'
import { nearest } from './nearest.ts'
import { SETTINGS } from './schema.ts'

/** JSON is YAML, so one reader serves both and knows the line of every value. `label` is what people call the file. */
export function readSettings(text: string, label: string): Layer {
  const { document, lines, broken } = parsed(text)
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0])
    return { ...NOTHING, problems: [`${label}:${line}:${col}: the file is not valid YAML: ${brokenText(broken, lines, text)}`] }
  }
  const reading = { document, lines, label, given: [], problems: [] }
  readNode(reading, '', document.contents)
  return { ...NOTHING, given: reading.given, problems: reading.problems }
}

/** The value of one setting, written in an environment variable as in a file. */
export function readVariable(text: string, key: string, variable: string): Layer {
  const { document, lines, broken } = parsed(text)
  const refused = (problem: string): Layer => ({ ...NOTHING, problems: [`${key} (${variable}): ${problem}`] })
  if (broken !== undefined)
    return refused(`the value is not valid YAML at character ${broken.pos[0] + 1}: ${brokenText(broken, lines, text)}`)
  if (document.contents === null) return refused('it holds no value; write [] for none, or leave the variable out')
  if (hasAliases(document.contents)) return refused(ALIASES)
  return { ...NOTHING, given: [{ key, value: plain(document.contents), source: variable, where: variable }] }
}

interface Parsed {
  readonly document: Document
  readonly lines: LineCounter
  readonly broken: YAMLError | undefined
}

function parsed(text: string): Parsed {
  const lines = new LineCounter()
  // Its prettier messages would quote the source, which may hold a password.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  return { document, lines, broken: [...document.errors, ...document.warnings][0] }
}

interface Reading {
  readonly document: Document
  readonly lines: LineCounter
  readonly label: string
  readonly given: Given[]
  readonly problems: string[]
}

const KEYS = SETTINGS.map(({ key }) => key)

/** Reads a setting or a section; `offset` is the position of its key. */
function readNode(reading: Reading, key: string, node: unknown, offset = 0): void {
  const { document, lines, label, given, problems } = reading
  const where = `${label}:${lines.linePos(offset).line}`
  const value = isAlias(node) ? node.resolve(document) : node
  if (KEYS.includes(key)) {
    if (hasAliases(value)) return void problems.push(`${key} (${where}): ${ALIASES}`)
    return void given.push({ key, value: plain(value), source: label, where })
  }

  const names = namesIn(key)
  if (names.length === 0) return void problems.push(`${key} (${where}): there is no such setting${suggestion(key)}`)
  // A section whose lines are all commented out.
  if (value === null || (isScalar(value) && value.value === null)) return
  if (!isMap(value)) return void problems.push(`${key === '' ? 'the file' : key} (${where}): expected a section with ${names.join(', ')}`)
  for (const { key: name, value: inner } of value.items) {
    // The key may be anything by mistake, even a password.
    const word = isScalar(name) && /^[\w.-]{1,60}$/.test(String(name.value)) ? String(name.value) : '(a key that is not a name)'
    const at = isScalar(name) ? name.range?.[0] : undefined
    const path = key === '' ? word : `${key}.${word}`
    if (word.includes('.'))
      problems.push(`${path} (${label}:${lines.linePos(at ?? offset).line}): there is no such setting; write a section instead of a dot`)
    else readNode(reading, path, inner, at ?? offset)
  }
}

const ALIASES =
  '*name stands there, which in YAML repeats another value; write that value out, and a text that begins with * in quotation marks'

/** A chain of aliases can stand for more than any memory holds, and one that stands for itself has no end. */
function hasAliases(node: unknown): boolean {
  if (isSeq(node)) return node.items.some(hasAliases)
  return isMap(node) ? node.items.some(({ key, value }) => hasAliases(key) || hasAliases(value)) : isAlias(node)
}

/** Keys are texts, whatever they look like. */
function plain(node: unknown): unknown {
  if (isScalar(node)) return node.value
  if (isSeq(node)) return node.items.map(plain)
  if (isMap(node))
    return Object.fromEntries(
      node.items.map(({ key, value }) => [isScalar(key) ? String(key.value) : '(a list or a section)', plain(value)]),
    )
  return null
}

/** The keys allowed in a section; empty if there is no such section. */
function namesIn(section: string): readonly string[] {
  const prefix = section === '' ? '' : `${section}.`
  const inside = KEYS.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length).split('.')[0]!)
  return [...new Set(inside)]
}

function suggestion(key: string): string {
  const section = key.split('.').slice(0, -1).join('.')
  const siblings = namesIn(section).map((name) => (section === '' ? name : `${section}.${name}`))
  const meant = nearest(key, [...siblings, ...KEYS])
  return meant === undefined ? '' : `; did you mean ${meant}?`
}

function brokenText(error: YAMLError, lines: LineCounter, text: string): string {
  const { line } = lines.linePos(error.pos[0])
  // After a colon or a backslash, the parser's message quotes the source.
  const what = error.message.split(/: |\\/)[0]!
  const star = /(?::\s+|[-[,]\s*)\*/.test(text.split('\n')[line - 1] ?? '') ? '; a value that begins with * needs quotation marks' : ''
  return `${what}${star}`
}
