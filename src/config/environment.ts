import { resolve } from 'node:path'
import { JOBS } from '../catalogue.ts'
import { messageOf } from '../errors.ts'
import { readGiven } from '../files.ts'
import { FORMATS } from './formats.ts'
import type { Given, Layer } from './layer.ts'
import { nearest } from './nearest.ts'
import { DATABASE_URL_FILE, SETTINGS, type Setting } from './schema.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What the environment says. An empty variable counts as not set. */
export function readEnvironment(env: Environment, workingDirectory: string): Layer {
  const given = SETTINGS.flatMap((setting) => {
    const text = env[setting.env] ?? ''
    return text === '' ? [] : [givenText(setting, text, setting.env)]
  })
  const file = env[DATABASE_URL_FILE] ?? ''
  const fromFile = file === '' ? NOTHING : readUrlFile(resolve(workingDirectory, file), (env['DATABASE_URL'] ?? '') !== '')
  return { given: [...given, ...fromFile.given], problems: fromFile.problems, notes: nearMisses(env) }
}

/** A value written as text, where nothing but text can be written. */
export function givenText(setting: Setting, text: string, source: string): Given {
  return { key: setting.key, value: FORMATS[setting.format].fromText?.(text) ?? text, source, where: source }
}

const NOTHING: Layer = { given: [], problems: [], notes: [] }

function readUrlFile(path: string, alsoDirect: boolean): Layer {
  if (alsoDirect) return refusedFile('DATABASE_URL is set too; keep one of them')
  try {
    // An editor ends a file with a line break; a password does not.
    const value = readGiven(path)
      .toString()
      .replace(/\r?\n$/, '')
    return { ...NOTHING, given: [{ key: 'database.url', value, source: DATABASE_URL_FILE, where: DATABASE_URL_FILE }] }
  } catch (error) {
    return refusedFile(`the file cannot be read: ${messageOf(error)}`)
  }
}

function refusedFile(why: string): Layer {
  return { ...NOTHING, problems: [`database.url (${DATABASE_URL_FILE}): ${why}`] }
}

/** Names the configuration file, where the command line does not. */
export const CONFIG_FILE = 'MAINTENANCE_CONFIG'

/** Shorter names are too likely to be somebody else's. */
const SHORTEST_NAME = 12

/** Variables that look like ours and are not; never their values. */
function nearMisses(env: Environment): readonly string[] {
  const ours = [...SETTINGS.map((setting) => setting.env), DATABASE_URL_FILE, CONFIG_FILE]
  return Object.keys(env).flatMap((name) => {
    if (name.length < SHORTEST_NAME || ours.includes(name)) return []
    const job = JOBS.find(({ environment }) => name.startsWith(`${environment}_`))
    const meant = nearest(name, ours)
    if (meant !== undefined) return [`the environment variable ${name} is not a setting; did you mean ${meant}?`]
    if (job === undefined) return []
    const names = ours.filter((each) => each.startsWith(`${job.environment}_`) || each === job.retention?.environment)
    return [`the environment variable ${name} is not a setting; those of ${job.name} are ${names.join(', ')}`]
  })
}
