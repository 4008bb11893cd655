import { messageOf } from '../errors.ts'
import { readGiven } from '../files.ts'
import { NOTHING, type Layer } from './layer.ts'
import { SETTINGS, type Setting } from './schema.ts'

/** Reads a YAML or JSON file of settings. `label` is what people call it. */
export async function readFile(path: string, label: string): Promise<Layer> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readGiven(path))
  } catch (error) {
    return { ...NOTHING, problems: [`${label}: the configuration file cannot be read: ${messageOf(error)}`] }
  }
  // The shipped file is read at every start, and nearly always says what the schema says: loading a parser for that takes a fifth of the start.
  if (holdsDefaults(text))
    return { ...NOTHING, given: SETTINGS.map(({ key, default: value }) => ({ key, value, source: label, where: label })) }
  return (await import('./settings-yaml.ts')).readSettings(text, label)
}

/** Whether a file gives every setting its default, in the order and spelling of the shipped file. Comments are ignored. */
export function holdsDefaults(text: string): boolean {
  const lines = text.split('\n').filter((line) => !/^ *(?:#[^\r]*)?$/.test(line))
  return lines.join('\n') === DEFAULTS
}

const DEFAULTS = SETTINGS.flatMap(defaultLines).join('\n')

/** A section is opened where the setting before lies in another. */
function defaultLines({ key, default: value }: Setting, at: number): readonly string[] {
  const path = key.split('.')
  const before = SETTINGS[at - 1]?.key.split('.') ?? []
  const shared = path.findIndex((name, depth) => name !== before[depth])
  return path.slice(shared).map((name, index) => {
    const depth = shared + index
    return `${'  '.repeat(depth)}${name}:${depth === path.length - 1 ? ` ${written(value)}` : ''}`
  })
}

/** Of the defaults only schedules need quotation marks: YAML takes a star at the beginning for an alias. */
function written(value: Setting['default']): string {
  return typeof value === 'string' && /[* ]/.test(value) ? `'${value}'` : String(value)
}
