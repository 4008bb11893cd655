import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type YAMLError } from 'yaml'
import { NOTHING, type Given, type Layer } from './layer.ts'
import { nearest } from './nearest.ts'
import { SETTINGS } from './schema.ts'

/** JSON is YAML, so one reader serves both and knows the line of every value. `label` is what people call the file. */
export function readSettings(text: string, label: string): Layer {
  const lines = new LineCounter()
  // Its prettier messages would quote the source, which may hold a password.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [broken] = [...document.errors, ...document.warnings]
  if (broken !== undefined) return { ...NOTHING, problems: [brokenProblem(broken, lines, text, label)] }
  const reading = { document, lines, label, given: [], problems: [] }
  readNode(reading, '', document.contents)
  return { ...NOTHING, given: reading.given, problems: reading.problems }
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
  if (KEYS.includes(key)) return void given.push({ key, value: plain(value), source: label, where })

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

/** A section becomes an empty object, which every format refuses. */
function plain(node: unknown): unknown {
  if (isScalar(node)) return node.value
  if (isSeq(node)) return node.items.map(plain)
  return node === null || node === undefined ? null : isMap(node) ? {} : []
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

function brokenProblem(error: YAMLError, lines: LineCounter, text: string, label: string): string {
  const { line, col } = lines.linePos(error.pos[0])
  // After a colon or a backslash, the parser's message quotes the source.
  const what = error.message.split(/: |\\/)[0]!
  const star = /:\s+\*/.test(text.split('\n')[line - 1] ?? '') ? '; a value that begins with * needs quotation marks' : ''
  return `${label}:${line}:${col}: the file is not valid YAML: ${what}${star}`
}
