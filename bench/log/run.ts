/**
 * One subject under one load: a process of its own, so that no subject shares an event loop with another. Takes its task
 * as an argument and tells its parent when the measurement begins and ends, and what it was.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeEntry } from '../../src/log/record.ts'
import { micros, millis, type Offset, trackName } from '../../src/units.ts'
import { openBare, openBatched } from './bare.ts'
import { film, type Plan } from './camera.ts'
import { Ledger } from './ledger.ts'
import { openOurs } from './ours.ts'
import { countsBetween, type RequestCounts, Requests } from './requests.ts'
import { connectionsByPort } from './sockets.ts'
import type { LogSubjectName, OpenSubject, Subject } from './subject.ts'
import { answer, patience, type Result, rate, type Task, tell, usualBytes } from './task.ts'

const opens: Readonly<Record<LogSubjectName, OpenSubject>> = {
  ours: openOurs,
  bare: openBare,
  batched: openBatched,
}

const task = JSON.parse(process.argv[2] ?? '') as Task & { readonly subject: LogSubjectName }
const name = (): string => Math.random().toString(36).slice(2, 10).padEnd(8, '0')
const session = name()
const probe = name()
const value = new Uint8Array(task.bytes ?? usualBytes).map(() => Math.random() * 256)
const requests = new Requests()
const ledger = new Ledger(task.live)
/** Topics that frames go to: spread evenly over all that are followed. */
const places = Array.from({ length: task.live }, (_, i) => Math.floor((i * task.topics.length) / task.live))
const broadcasts = new Map(places.map((place, broadcast) => [place, broadcast]))
const silent = new Set(places)
const failure = Promise.withResolvers<never>()
// It may come before anybody waits for it.
failure.promise.catch(() => {})

await answer(async () => {
  const subject = await opens[task.subject]({
    bootstrapServers: task.bootstrapServers,
    topics: task.topics,
    onRecord(place, from, sequence) {
      if (from === session) ledger.deliver(broadcasts.get(place) ?? Number.NaN, sequence, performance.now())
      else silent.delete(place)
    },
    onFailure: failure.reject,
  })
  const result = await Promise.race([measure(subject), failure.promise])
  await Promise.race([subject[Symbol.asyncDispose](), sleep(5000)])
  return result
})

async function measure(subject: Subject): Promise<Result> {
  await firstRecords(subject)
  const plan: Plan = { live: task.live, rate, seconds: task.warmUp + task.seconds }
  let begin: (Moment & { readonly at: number }) | undefined
  let last = 0
  await film(plan, ({ broadcast, sequence, at }, due) => {
    if (begin === undefined && at >= task.warmUp * 1000) {
      begin = { at: due, ...moment() }
      void tell({ kind: 'begins' })
    }
    last = due
    const record = frame(session, sequence)
    const sent = performance.now()
    ledger.send(broadcast, due, sent)
    subject.append(places[broadcast] ?? 0, record).then(
      () => ledger.acknowledge(broadcast, sequence, performance.now()),
      (error: unknown) => ledger.fault(`frame ${sequence} of broadcast ${broadcast} was refused: ${error}`),
    )
  })
  const end = moment()
  await tell({ kind: 'ends' })
  if (begin === undefined) throw new Error('no frame was due in the measurement')
  const connections = connectionsByPort()
  await until(() => ledger.isComplete)
  // What has been delivered is acknowledged a moment later, or not at all.
  await sleep(500)
  const ports = task.bootstrapServers.split(',').map(each => Number(each.split(':').at(-1)))
  return {
    ...ledger.account({ from: begin.at, to: last + 1 }, requests.refreshes),
    faults: ledger.faults(),
    cpu: (end.cpu - begin.cpu) / 1e6,
    requests: countsBetween(begin.counts, end.counts),
    connections: connections && ports.map(port => connections.get(port) ?? 0),
  }
}

interface Moment {
  readonly cpu: number
  readonly counts: RequestCounts
}

function moment(): Moment {
  const { user, system } = process.cpuUsage()
  return { cpu: user + system, counts: requests.counts }
}

/** Until every topic has shown a record: a group may still be joining, connections are still to be made. */
async function firstRecords(subject: Subject): Promise<void> {
  const give = performance.now() + patience * 1000
  for (let sequence = 0; silent.size > 0; sequence++) {
    if (performance.now() > give) throw new Error(`${silent.size} topics showed no record for ${patience} s`)
    await Promise.all([...silent].map(place => subject.append(place, frame(probe, sequence))))
    await sleep(200)
  }
}

async function until(isDone: () => boolean): Promise<void> {
  const give = performance.now() + patience * 1000
  while (!isDone() && performance.now() < give) await sleep(20)
}

function frame(from: string, sequence: number) {
  return encodeEntry(
    {
      kind: 'frame',
      epoch: 0 as Offset,
      session: from,
      start: 0 as Offset,
      sequence,
      frame: {
        track: trackName('video'),
        timestamp: micros((sequence * 1e6) / rate),
        duration: micros(1e6 / rate),
        capturedAt: millis(Date.now()),
        keyframe: sequence % 60 === 0,
        data: value,
      },
    },
    millis(Date.now()),
  )
}
