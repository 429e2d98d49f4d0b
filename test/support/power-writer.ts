/**
 * Writes a known load to an embedded log until it is killed, for the tests of power cuts. What it writes follows from
 * the topic's id and the offset alone; what was acknowledged goes to standard output, one line each.
 */
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import type { Log, Topic } from '../../src/log/log.ts'
import { millis } from '../../src/units.ts'
import { recordAt, startTime } from './power-load.ts'

const [dir = '', sync = 'commit', seed = '1'] = process.argv.slice(2)
const say = (line: string): boolean => process.stdout.write(`${line}\n`)

let state = Number(seed)
const random = (below: number): number => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  return (state >>> 8) % below
}

const log: Log = await openEmbeddedLog({ dir, sync: sync === 'always' ? 'always' : 'commit', trimEvery: 20 })
const options = [{}, { retentionBytes: 600_000 }, {}, { compact: true }, { retention: millis(3_600_000) }]
const topics: Topic[] = []
for (const [i, each] of options.entries()) topics.push(await make(`topic-${i}`, each))

async function make(name: string, each: object): Promise<Topic> {
  const topic = await log.create(name, each)
  say(`made ${topic.name} ${topic.id}`)
  return topic
}

async function append(topic: Topic, isCompact: boolean): Promise<void> {
  const { next } = await log.bounds(topic)
  const count = isCompact ? 1 : 1 + random(4)
  const records = Array.from({ length: count }, (_, i) => recordAt(topic.id, next + i, startTime + next + i))
  const at = await log.append(topic, records)
  say(`acknowledged ${topic.id} ${at} ${at + count}`)
}

for (let turn = 0; ; turn++) {
  await Promise.all(topics.map((topic, i) => append(topic, i === 3)))
  if (turn % 40 !== 39) continue
  // A broadcast ends and is deleted, another begins: names come again, ids do not.
  const gone = topics.pop() as Topic
  say(`deleting ${gone.id}`)
  await log.delete(gone)
  topics.push(await make(`topic-${4 + random(3)}`, { retention: millis(3_600_000) }))
}
