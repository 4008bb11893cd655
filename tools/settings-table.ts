import { describeSettings, type SettingDescription } from '../src/config/schema.ts'

const BEGIN = '<!-- settings: written by `npm run docs` -->'
const END = '<!-- end of settings -->'

/** A document with the table of settings between its markers brought up to date. Throws where it has no markers. */
export function withSettingsTable(document: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`the document has no place for the settings, between ${BEGIN} and ${END}`)
  return `${document.slice(0, begin)}${BEGIN}\n\n${settingsTable(describeSettings())}\n\n${document.slice(end)}`
}

function settingsTable(settings: readonly SettingDescription[]): string {
  const rows = settings.map(({ key, environment, default: value, doc }) => [
    `\`${key}\``,
    environment.map((name) => `\`${name}\``).join(' or '),
    value === null ? 'none' : `\`${value}\``,
    doc,
  ])
  return [['setting', 'environment', 'default', ''], ['---', '---', '---', '---'], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}
