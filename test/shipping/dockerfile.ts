export interface Instruction {
  /** In upper case. */
  readonly name: string
  /** What follows the name, continuation lines joined. */
  readonly text: string
}

export interface Stage {
  /** Empty if no other stage can name it: usually the last one. */
  readonly name: string
  /** An image, or the name of an earlier stage. */
  readonly from: string
  readonly instructions: readonly Instruction[]
}

/** Reads the stages of a Dockerfile. Arguments before the first FROM have their defaults. */
export function readDockerfile(text: string): readonly Stage[] {
  const stages: (Stage & { readonly instructions: Instruction[] })[] = []
  const defaults = new Map<string, string>()
  for (const { name, text: rest } of instructions(text)) {
    if (name === 'FROM') {
      const [, from = '', stage = ''] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(rest) ?? []
      const [, argument] = /^\$\{(\w+)\}$/.exec(from) ?? []
      const image = argument === undefined ? from : defaults.get(argument)
      if (image === undefined) throw new Error(`FROM ${from}: no such argument`)
      stages.push({ name: stage, from: image, instructions: [] })
    } else if (name === 'ARG' && stages.length === 0) {
      const [, argument = '', value = ''] = /^(\w+)=(\S+)$/.exec(rest) ?? []
      defaults.set(argument, value)
    } else if (stages.length === 0) throw new Error(`${name} before the first FROM`)
    else stages.at(-1)!.instructions.push({ name, text: rest })
  }
  return stages
}

function instructions(text: string): Instruction[] {
  const joined = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replace(/\\\n\s*/g, '')
  return joined.split('\n').flatMap((line) => {
    if (line.trim() === '') return []
    const [, name = '', rest = ''] = /^\s*([A-Za-z]+)\s+(.*?)\s*$/.exec(line) ?? []
    if (name === '') throw new Error(`not an instruction: ${line}`)
    return [{ name: name.toUpperCase(), text: rest }]
  })
}

/** Exec form; `undefined` where the text is in shell form. */
export function execForm(text: string): readonly string[] | undefined {
  return text.startsWith('[') ? JSON.parse(text) : undefined
}

/** Decides whether a .dockerignore keeps a path out of the build: the last matching rule wins, and a rule matches everything below a path too. */
export function readDockerignore(text: string): (path: string) => boolean {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const pattern = line.replace(/^!/, '').replace(/\/$/, '')
      const source = pattern
        .split('**/')
        .map((part) => part.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '[^/]*'))
        .join('(?:.*/)?')
      return { ignores: !line.startsWith('!'), fits: new RegExp(`^${source}(?:/.*)?$`) }
    })
  return (path) => rules.findLast((rule) => rule.fits.test(path))?.ignores ?? false
}
