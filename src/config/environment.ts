import { resolve } from 'node:path'
import { messageOf } from '../errors.ts'
import { readGiven } from '../files.ts'
import { FORMATS } from './formats.ts'
import { NOTHING, type Environment, type Layer } from './layer.ts'
import { isPlatformAddress, nearMisses } from './near-misses.ts'
import { DATABASE_URL_FILE, SETTINGS, type Setting } from './schema.ts'

/** What the environment says. An empty variable counts as not set. */
export async function readEnvironment(env: Environment, workingDirectory: string): Promise<Layer> {
  const layers = await Promise.all(
    SETTINGS.map(async (setting) => {
      const text = env[setting.env] ?? ''
      return text === '' || isOfPlatform(setting, text) ? NOTHING : givenText(setting, text)
    }),
  )
  const file = env[DATABASE_URL_FILE] ?? ''
  const fromFile = file === '' ? NOTHING : readUrlFile(resolve(workingDirectory, file), (env['DATABASE_URL'] ?? '') !== '')
  return {
    given: [...layers, fromFile].flatMap(({ given }) => given),
    problems: [...layers, fromFile].flatMap(({ problems }) => problems),
    notes: platformNotes(env),
    warnings: nearMisses(env, NAMES),
  }
}

/** Kubernetes sets HTTP_PORT=tcp://10.0.0.1:80 in every pod beside a service named http, and Docker beside a container linked as http. */
function isOfPlatform({ format }: Setting, text: string): boolean {
  return format === 'port' && isPlatformAddress(text)
}

function platformNotes(env: Environment): readonly string[] {
  return SETTINGS.filter((setting) => isOfPlatform(setting, env[setting.env] ?? '')).map(
    ({ env: name, key }) =>
      `${name} is ignored: it holds the address that Kubernetes sets for a service of that name, not a port; set ${key} in a file, or set enableServiceLinks: false`,
  )
}

/** A value from text: the environment holds nothing else. */
async function givenText({ key, env, format }: Setting, text: string): Promise<Layer> {
  const { fromText, isStructured } = FORMATS[format]
  // Loaded only where it is needed.
  if (isStructured === true) return (await import('./settings-yaml.ts')).readVariable(text, key, env)
  return { ...NOTHING, given: [{ key, value: fromText?.(text) ?? text, source: env, where: env }] }
}

function readUrlFile(path: string, alsoDirect: boolean): Layer {
  if (alsoDirect) return refusedFile('DATABASE_URL is set too; keep one of them')
  try {
    const value = urlIn(path)
    return { ...NOTHING, given: [{ key: 'database.url', value, source: DATABASE_URL_FILE, where: DATABASE_URL_FILE }] }
  } catch (error) {
    return refusedFile(`the file cannot be read: ${messageOf(error)}`)
  }
}

/** An editor ends a file with a line break, and people leave blank lines after it; no password ends with one. */
function urlIn(path: string): string {
  return readGiven(path)
    .toString()
    .replace(/(?:\r?\n[ \t]*)+$/, '')
}

/** The URL as its file has it now; `undefined`: it is in no file. Throws the system's error. */
export function urlInFile(env: Environment, workingDirectory: string): string | undefined {
  const file = env[DATABASE_URL_FILE] ?? ''
  return file === '' ? undefined : urlIn(resolve(workingDirectory, file))
}

function refusedFile(why: string): Layer {
  return { ...NOTHING, problems: [`database.url (${DATABASE_URL_FILE}): ${why}`] }
}

/** Names the configuration file, if the command line does not. */
export const CONFIG_FILE = 'MAINTENANCE_CONFIG'

/** Every variable that is one of ours. */
const NAMES: readonly string[] = [...SETTINGS.map(({ env }) => env), DATABASE_URL_FILE, CONFIG_FILE]
