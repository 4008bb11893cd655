import type { FormatName } from '../src/config/formats.ts'
import { SETTINGS, type Setting } from '../src/config/schema.ts'
import { LONGEST_PATTERN, MOST_PATTERNS } from '../src/policy/match.ts'
import { MOST_RULES } from '../src/policy/rules.ts'

/** The file that editors read, in the package beside the settings as they are shipped. */
export const CONFIG_SCHEMA_FILE = 'config/settings.schema.json'

type Schema = Readonly<Record<string, unknown>>

/**
 * A JSON schema of a file of settings, from the settings themselves. It takes everything that the program takes. What only a program can judge it
 * leaves to it: whether a time zone exists, what lies between the fields of a schedule, how long a duration may be.
 */
export function configSchemaText(): string {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Settings of mcp-gateway-maintenance',
    description: 'A file named by --config or MAINTENANCE_CONFIG: only what differs from the defaults. The environment wins over it.',
    ...sectionSchema(''),
  }
  return `${JSON.stringify(schema, null, 2)}\n`
}

/** A section whose lines are all commented out is null. */
function sectionSchema(prefix: string): Schema {
  const names = [...new Set(SETTINGS.flatMap(({ key }) => (key.startsWith(prefix) ? [key.slice(prefix.length).split('.')[0]!] : [])))]
  return {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: Object.fromEntries(
      names.map((name) => {
        const setting = SETTINGS.find(({ key }) => key === `${prefix}${name}`)
        return [name, setting === undefined ? sectionSchema(`${prefix}${name}.`) : settingSchema(setting)]
      }),
    ),
  }
}

function settingSchema(setting: Setting): Schema {
  const { doc, env, default: value, nullable } = setting
  const schema = SCHEMAS[setting.format](setting)
  const described = { description: `${doc[0]!.toUpperCase()}${doc.slice(1)}. ${env} in the environment.`, default: value }
  return nullable === true ? { ...described, anyOf: [schema, { type: 'null' }] } : { ...described, ...schema }
}

const TEXT = { type: 'string', pattern: '^[^\\s\\u0000-\\u001f\\u007f](?:[^\\u0000-\\u001f\\u007f]*[^\\s\\u0000-\\u001f\\u007f])?$' }
/** No URL but those of buckets. */
const PLACE = '^(?:s3://[a-z0-9]|(?![A-Za-z][A-Za-z0-9+.-]*:))'
const DURATION = { type: 'string', pattern: '^[0-9]{1,9}(?:ms|s|m|h|d|w)$' }

const SCHEMAS: Readonly<Record<FormatName, (setting: Setting) => Schema>> = {
  'database URL': () => ({ type: 'string', pattern: ':' }),
  text: () => TEXT,
  'place of an archive': () => ({ ...TEXT, allOf: [{ pattern: PLACE }] }),
  endpoint: () => ({ type: 'string', pattern: '^https?://[^/?#@]+/?$' }),
  region: () => ({ type: 'string', pattern: '^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}[A-Za-z0-9])?$' }),
  schema: () => TEXT,
  truth: () => ({ type: 'boolean' }),
  duration: () => DURATION,
  grace: () => DURATION,
  retention: () => DURATION,
  'retention or forever': () => ({ anyOf: [{ const: 'forever' }, DURATION] }),
  schedule: () => ({ type: 'string', pattern: '^[ \\t]*(?:@[A-Za-z]+|[^\\s@]+(?:[ \\t]+[^\\s]+){4,5})[ \\t]*$' }),
  'time zone': () => ({ type: 'string', pattern: '^(?:[Uu][Tt][Cc]|[A-Za-z][\\w+-]*(?:/[\\w+-]+)+)$' }),
  port: () => ({ type: 'integer', minimum: 0, maximum: 65_535 }),
  hosts: () => ({ type: 'array', minItems: 1, maxItems: 100, items: { type: 'string', minLength: 1 } }),
  rules: rulesSchema,
  tables: ({ choices = [] }) => ({ type: 'array', minItems: 1, items: { enum: choices } }),
  choice: choiceSchema,
}

/** An editor offers what is listed; capital letters, and what others call it, are taken too. */
function choiceSchema({ choices = [], aliases = {} }: Setting): Schema {
  const words = [...choices, ...Object.keys(aliases)]
  return { anyOf: [{ enum: choices }, { type: 'string', pattern: `^(?:${words.map(inAnyCase).join('|')})$` }] }
}

function inAnyCase(word: string): string {
  return word.replaceAll(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)
}

function rulesSchema({ choices = [] }: Setting): Schema {
  const value = { type: 'string', minLength: 1, maxLength: LONGEST_PATTERN }
  const values = { anyOf: [value, { type: 'array', minItems: 1, maxItems: MOST_PATTERNS, items: value }] }
  const match = {
    type: 'object',
    additionalProperties: false,
    minProperties: 1,
    properties: Object.fromEntries(choices.map((column) => [column, values])),
  }
  return {
    type: 'array',
    maxItems: MOST_RULES,
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['name', 'match', 'retention'],
      properties: {
        name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}$' },
        match,
        retention: { anyOf: [{ const: 'forever' }, DURATION] },
      },
    },
  }
}
