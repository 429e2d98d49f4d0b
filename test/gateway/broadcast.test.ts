import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { openKafkaLog } from '../../src/log/kafka/kafka-log.ts'
import { micros, trackName } from '../../src/units.ts'
import { TestPublisher, TestViewer, testCatalog, testFrame } from '../support/clients.ts'
import { type RunningGateway, startGateway } from '../support/gateway.ts'
import { type KafkaCluster, startKafka } from '../support/kafka.ts'

const prefix = `test-${randomUUID().slice(0, 8)}-`

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

describe('a broadcast over the embedded log', { timeout: 60_000 }, () => {
  broadcasts(() => startGateway({ PUBLISHER_GRACE: '2s' }))
})

describe('a broadcast over Kafka', { timeout: 120_000 }, () => {
  let kafka: KafkaCluster
  before(async () => {
    kafka = await startKafka()
  })
  after(() => kafka[Symbol.asyncDispose]())
  const start = (): Promise<RunningGateway> =>
    startGateway({ PUBLISHER_GRACE: '2s', BOOTSTRAP_SERVERS: kafka.bootstrapServers, TOPIC_PREFIX: prefix })

  broadcasts(start)

  it('is served by any gateway: published here, watched there', async () => {
    await using here = await start()
    await using there = await start()
    const viewer = await TestViewer.connect(there.ws, 'across')
    assert.equal((await viewer.next('welcome')).role, 'watch')
    const publisher = await TestPublisher.connect(here.ws, 'across')
    publisher.publish(50)
    await viewer.frame(49)
    assert.deepEqual(viewer.sequences, range(0, 50))
    const session = publisher.welcome?.session ?? ''
    publisher.cut()
    const again = await TestPublisher.connect(there.ws, 'across', { session })
    assert.equal(again.welcome?.session, session)
    again.publish(100 - again.sequence)
    await viewer.frame(99)
    assert.deepEqual(viewer.sequences, range(0, 100))
    await assert.rejects(
      TestPublisher.connect(here.ws, 'across', { resume: 'another-token-entirely' }),
      /BROADCAST_BUSY/,
    )
    await Promise.all([again.close(), viewer.close()])
  })

  it('goes to the later claim where two publishers race on two gateways, and tells the other', async () => {
    await using here = await start()
    await using there = await start()
    for (let round = 0; round < 5; round++) {
      const id = `race-${round}`
      const publishers = await Promise.allSettled(
        [here, there].map(({ ws }, i) =>
          TestPublisher.connect(ws, id, { resume: `token-of-publisher-${i}` }),
        ),
      )
      const connected = publishers.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
      for (const publisher of connected) publisher.publish(60)
      const codeOf = (error: unknown): string => /[A-Z]+_[A-Z_]+/.exec(String(error))?.[0] ?? String(error)
      const outcomes = await Promise.all(
        publishers.map(result =>
          result.status === 'fulfilled'
            ? result.value.acknowledged(59).then(() => 'holds', codeOf)
            : codeOf(result.reason),
        ),
      )
      assert.deepEqual(outcomes.toSorted(), ['BROADCAST_BUSY', 'holds'])
      const viewer = await TestViewer.connect(there.ws, id, 'start')
      await viewer.frame(59)
      const sessions = viewer.messages.flatMap(message =>
        message.type === 'catalog' ? [message.session] : [],
      )
      assert.deepEqual(viewer.sequences.slice(-60), range(0, 60), `sessions ${sessions}`)
      for (const publisher of connected) publisher.cut()
      await viewer.close()
    }
  })

  it('makes the directory anew when its topic was deleted, and lists what is live in it', async () => {
    await using here = await start()
    const publisher = await TestPublisher.connect(here.ws, 'listed-again')
    publisher.publish(1)
    await publisher.acknowledged(0)
    await using log = await openKafkaLog({ bootstrapServers: kafka.bootstrapServers })
    const directory = await log.find(`${prefix}_directory`)
    assert.ok(directory)
    await log.delete(directory)
    // The holder writes its entry again every few seconds; a gateway that starts now has nothing else to go by.
    await using there = await start()
    for (let listed = false; !listed; ) {
      publisher.publish(1)
      await publisher.acknowledged(publisher.sequence - 1)
      const response = await fetch(`${there.http}/api/v1/broadcasts`)
      const { broadcasts } = (await response.json()) as { broadcasts: { id: string }[] }
      listed = broadcasts.some(({ id }) => id === 'listed-again')
    }
    await publisher.close()
  })

  it('makes no consumer group', async () => {
    const output = execFileSync('kcat', ['-L', '-J', '-b', kafka.bootstrapServers], { encoding: 'utf8' })
    assert.doesNotMatch(output, /__consumer_offsets/)
  })
})

/** What holds on either log. */
function broadcasts(start: () => Promise<RunningGateway>): void {
  let gateway: RunningGateway
  before(async () => {
    gateway = await start()
  })
  after(() => gateway[Symbol.asyncDispose]())

  it('gives a viewer the catalog and the current GOP at once, then frames as they come', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'gop')
    publisher.publish(100)
    await publisher.acknowledged(99)
    const viewer = await TestViewer.connect(gateway.ws, 'gop')
    const welcome = await viewer.next('welcome')
    assert.equal(welcome.role === 'watch' && welcome.state, 'live')
    await viewer.next('catalog')
    await viewer.frame(99)
    assert.deepEqual(viewer.sequences, range(60, 100))
    assert.equal(viewer.frames()[0]?.frame.keyframe, true)
    publisher.publish(1)
    await viewer.frame(100)
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('tells a waiting viewer when the publisher comes', async () => {
    const viewer = await TestViewer.connect(gateway.ws, 'wait')
    const welcome = await viewer.next('welcome')
    assert.equal(welcome.role === 'watch' && welcome.state, 'waiting')
    const publisher = await TestPublisher.connect(gateway.ws, 'wait')
    publisher.publish(3)
    await viewer.frame(2)
    assert.deepEqual(viewer.sequences, [0, 1, 2])
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('tells viewers of the end, and plays the recording from its start to its end', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'over')
    publisher.publish(150)
    const viewer = await TestViewer.connect(gateway.ws, 'over')
    await viewer.frame(149)
    publisher.send({ type: 'end', reason: 'stopped' })
    assert.equal((await viewer.next('end')).reason, 'stopped')
    assert.equal((await publisher.ended()).code, 1000)
    for (const from of ['live', 'start']) {
      const late = await TestViewer.connect(gateway.ws, 'over', from)
      await late.next('end')
      assert.deepEqual(late.sequences, range(0, 150))
      await late.close()
    }
    await viewer.close()
  })

  it('plays the sound that stands before the first picture too', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'sound-first')
    for (let n = 0; n < 3; n++) {
      const frame = { ...testFrame(publisher.sequence++), track: trackName('audio'), keyframe: true }
      publisher.send({ type: 'frame', frame })
    }
    publisher.publish(1, { keyframe: false })
    publisher.publish(2, { keyframe: true })
    await publisher.acknowledged(5)
    publisher.send({ type: 'end', reason: 'stopped' })
    const viewer = await TestViewer.connect(gateway.ws, 'sound-first', 'start')
    await viewer.next('end')
    assert.deepEqual(viewer.sequences, [0, 1, 2, 4, 5])
    await viewer.close()
  })

  it('begins at the keyframe for whoever comes into a GOP that outlived a reconnection', async () => {
    const first = await TestPublisher.connect(gateway.ws, 'mid-gop')
    first.publish(30)
    await first.acknowledged(29)
    const session = first.welcome?.session ?? ''
    first.cut()
    const again = await TestPublisher.connect(gateway.ws, 'mid-gop', { session })
    again.publish(29)
    await again.acknowledged(58)
    for (const from of ['live', '-1ms', '@40']) {
      const viewer = await TestViewer.connect(gateway.ws, 'mid-gop', from)
      await viewer.frame(58)
      assert.deepEqual(viewer.sequences, range(0, 59), from)
      await viewer.close()
    }
    await again.close()
  })

  it('loses no frame of the GOP for whoever goes on behind it when another claim is all that follows', async () => {
    const first = await TestPublisher.connect(gateway.ws, 'claimed')
    const viewer = await TestViewer.connect(gateway.ws, 'claimed')
    first.publish(30)
    const { relayed } = await viewer.frame(29)
    assert.ok(relayed)
    await viewer.close()
    first.cut()
    const session = first.welcome?.session ?? ''
    const again = await TestPublisher.connect(gateway.ws, 'claimed', { session })
    const back = await TestViewer.connect(gateway.ws, 'claimed', `@${relayed.offset + 1}`)
    await back.next('place')
    again.publish(31)
    await back.frame(60)
    assert.deepEqual(back.sequences, range(0, 61))
    await Promise.all([again.close(), back.close()])
  })

  it('replays on over a hole in the media time', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'hole')
    publisher.publish(60)
    const minute = 60_000_000
    for (let n = 60; n < 120; n++) {
      const frame = testFrame(n)
      publisher.send({ type: 'frame', frame: { ...frame, timestamp: micros(frame.timestamp + minute) } })
    }
    await publisher.acknowledged(119)
    publisher.send({ type: 'end', reason: 'stopped' })
    const viewer = await TestViewer.connect(gateway.ws, 'hole', 'start')
    const { session = '' } = await viewer.next('catalog')
    for (let n = 0; n < 120; n++) {
      const { frame } = await viewer.frame(n)
      viewer.send({ type: 'position', session, timestamp: frame.timestamp })
    }
    await viewer.next('end')
    await viewer.close()
  })

  it('sends a catalog before what follows an end', async () => {
    const first = await TestPublisher.connect(gateway.ws, 'back')
    first.publish(5)
    const viewer = await TestViewer.connect(gateway.ws, 'back')
    await viewer.frame(4)
    first.cut()
    await viewer.next('end')
    const again = await TestPublisher.connect(gateway.ws, 'back', { session: first.welcome?.session ?? '' })
    again.publish(5)
    await viewer.frame(9)
    const late = await TestViewer.connect(gateway.ws, 'back', 'start')
    await late.frame(9)
    for (const { messages } of [viewer, late]) {
      const kinds = messages.map(({ type }) => type).filter(type => type !== 'state')
      assert.equal(kinds[kinds.indexOf('end') + 1], 'catalog')
    }
    await Promise.all([again.close(), viewer.close(), late.close()])
  })

  it('ends the broadcast of a publisher who left before its first frame', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'silent')
    const viewer = await TestViewer.connect(gateway.ws, 'silent')
    await viewer.next('welcome')
    publisher.cut()
    await viewer.next('end')
    await viewer.close()
  })

  it('begins anew at once under an id that was deleted while it was live', async () => {
    const first = await TestPublisher.connect(gateway.ws, 'anew')
    first.publish(5)
    await first.acknowledged(4)
    assert.equal((await fetch(`${gateway.http}/api/v1/broadcasts/anew`, { method: 'DELETE' })).status, 204)
    assert.equal((await first.ended()).code, 4411)
    const viewer = await TestViewer.connect(gateway.ws, 'anew')
    const welcome = await viewer.next('welcome')
    assert.equal(welcome.role === 'watch' && welcome.state, 'waiting')
    const second = await TestPublisher.connect(gateway.ws, 'anew', { resume: 'another-token-entirely' })
    second.publish(3)
    await viewer.frame(2)
    await Promise.all([second.close(), viewer.close()])
  })

  it('refuses another publisher while one is live, and lets the same one take over at once', async () => {
    const first = await TestPublisher.connect(gateway.ws, 'held')
    first.publish(10)
    await first.acknowledged(9)
    await assert.rejects(
      TestPublisher.connect(gateway.ws, 'held', { resume: 'another-token-entirely' }),
      /BROADCAST_BUSY/,
    )
    const session = first.welcome?.session ?? ''
    const again = await TestPublisher.connect(gateway.ws, 'held', { session })
    assert.equal((await first.ended()).code, 4410)
    assert.equal(again.welcome?.session, session)
    assert.equal(again.welcome?.next, 10)
    again.publish(5)
    await again.acknowledged(14)
    const viewer = await TestViewer.connect(gateway.ws, 'held', 'start')
    await viewer.frame(14)
    assert.deepEqual(viewer.sequences, range(0, 15))
    await Promise.all([again.close(), viewer.close()])
  })

  it('lets another publisher in where the one that is connected sends nothing', async () => {
    const first = await TestPublisher.connect(gateway.ws, 'silent-holder')
    first.publish(3)
    const viewer = await TestViewer.connect(gateway.ws, 'silent-holder')
    await viewer.frame(2)
    while ((await viewer.next('state')).state !== 'interrupted');
    const other = { resume: 'another-token-entirely' }
    const second = await TestPublisher.connect(gateway.ws, 'silent-holder', other)
    assert.equal((await first.ended()).code, 4409)
    assert.equal(second.welcome?.next, 0)
    second.publish(3)
    await second.acknowledged(2)
    await Promise.all([second.close(), viewer.close()])
  })

  it('counts a frame that is sent again once', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'again')
    publisher.publish(5)
    publisher.sequence = 0
    publisher.publish(7)
    await publisher.acknowledged(6)
    const viewer = await TestViewer.connect(gateway.ws, 'again', 'start')
    await viewer.frame(6)
    assert.deepEqual(viewer.sequences, range(0, 7))
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('ends a broadcast whose publisher was cut off and stays away', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'lost')
    publisher.publish(10)
    const viewer = await TestViewer.connect(gateway.ws, 'lost')
    await viewer.frame(9)
    publisher.cut()
    const states: string[] = []
    while (!states.includes('interrupted')) states.push((await viewer.next('state')).state)
    await viewer.next('end')
    await viewer.close()
  })

  it('replays no further ahead than a window of what the viewer shows', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'paced')
    publisher.publish(1200)
    await publisher.acknowledged(1199)
    publisher.send({ type: 'end', reason: 'stopped' })
    await publisher.ended()
    const viewer = await TestViewer.connect(gateway.ws, 'paced', 'start')
    const { session = '' } = await viewer.next('catalog')
    await viewer.frame(300)
    viewer.send({ type: 'ping', sent: 1 })
    await viewer.next('pong')
    assert.equal(viewer.sequences.at(-1), 300)
    viewer.send({ type: 'position', session, timestamp: 20_000_000 })
    await viewer.frame(900)
    viewer.send({ type: 'position', session, timestamp: 40_000_000 })
    await viewer.next('end')
    assert.deepEqual(viewer.sequences, range(0, 1200))
    await viewer.close()
  })

  it('goes on over a hole in the media time for whoever comes back in front of it', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'hole-ahead')
    publisher.publish(60)
    for (let n = 60; n < 120; n++) {
      const frame = testFrame(n)
      publisher.send({ type: 'frame', frame: { ...frame, timestamp: micros(frame.timestamp + 60_000_000) } })
    }
    await publisher.acknowledged(119)
    const first = await TestViewer.connect(gateway.ws, 'hole-ahead', 'start')
    const { session = '' } = await first.next('catalog')
    const { frame, relayed } = await first.frame(59)
    const again = await TestViewer.connect(gateway.ws, 'hole-ahead', `@${(relayed?.offset ?? 0) + 1}`)
    // At once, as a viewer does that tells where it is: before the gateway has looked for it.
    again.send({ type: 'position', session, timestamp: frame.timestamp })
    const { frame: next } = await again.frame(60)
    again.send({ type: 'position', session, timestamp: next.timestamp })
    await again.frame(119)
    await Promise.all([publisher.close(), first.close(), again.close()])
  })

  it('gives a catalog that changed within the GOP to whoever joins in it, and to nobody twice', async () => {
    const sound = trackName('audio')
    const [picture] = testCatalog.tracks
    assert.ok(picture)
    const publisher = await TestPublisher.connect(gateway.ws, 'changed', {
      catalog: { version: 1, tracks: [picture] },
    })
    publisher.publish(5)
    publisher.send({ type: 'catalog', catalog: testCatalog })
    const loud = { ...testFrame(publisher.sequence++), track: sound, keyframe: true }
    publisher.send({ type: 'frame', frame: loud })
    await publisher.acknowledged(5)
    const viewer = await TestViewer.connect(gateway.ws, 'changed')
    await viewer.frame(5)
    publisher.publish(60)
    await viewer.frame(65)
    const catalogs = viewer.messages.flatMap(message => (message.type === 'catalog' ? [message] : []))
    assert.deepEqual(
      catalogs.map(({ catalog }) => catalog.tracks.length),
      [1, 2],
    )
    await Promise.all([publisher.close(), viewer.close()])
  })

  it('begins with the GOP that a position is in, however far before that its start lies', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'position')
    // All at once: the gateway knows the log's end late, and records name a start far before their GOP.
    publisher.publish(1200)
    await publisher.acknowledged(1199)
    const whole = await TestViewer.connect(gateway.ws, 'position', 'start')
    const { session = '' } = await whole.next('catalog')
    whole.send({ type: 'position', session, timestamp: 60_000_000 })
    const { relayed } = await whole.frame(1110)
    const viewer = await TestViewer.connect(gateway.ws, 'position', `@${relayed?.offset}`)
    await viewer.frame(1199)
    assert.deepEqual(viewer.sequences, range(1080, 1200))
    await Promise.all([publisher.close(), whole.close(), viewer.close()])
  })

  it('gives all of a GOP that is longer than a replay runs ahead, up to the position and on', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'long')
    publisher.publish(1, { keyframe: true })
    publisher.publish(899, { keyframe: false })
    await publisher.acknowledged(899)
    const whole = await TestViewer.connect(gateway.ws, 'long', 'start')
    const { session = '' } = await whole.next('catalog')
    whole.send({ type: 'position', session, timestamp: 60_000_000 })
    const { relayed } = await whole.frame(700)
    const viewer = await TestViewer.connect(gateway.ws, 'long', `@${relayed?.offset}`)
    await viewer.frame(899)
    assert.deepEqual(viewer.sequences, range(0, 900))
    await Promise.all([publisher.close(), whole.close(), viewer.close()])
  })

  it('lists the broadcasts with their states', async () => {
    const response = await fetch(`${gateway.http}/api/v1/broadcasts`)
    const { broadcasts } = (await response.json()) as { broadcasts: { id: string; state: string }[] }
    const states = new Map(broadcasts.map(({ id, state }) => [id, state]))
    assert.equal(states.get('over'), 'ended')
    assert.equal(states.get('lost'), 'ended')
  })

  it('deletes a broadcast that has no frames yet, and serves on', async () => {
    const publisher = await TestPublisher.connect(gateway.ws, 'empty')
    assert.equal((await fetch(`${gateway.http}/api/v1/broadcasts/empty`, { method: 'DELETE' })).status, 204)
    assert.equal((await publisher.ended()).code, 4411)
    assert.equal((await fetch(`${gateway.http}/ping`)).status, 200)
  })

  it('lets a viewer and a publisher come at the same moment', async () => {
    for (let round = 0; round < 5; round++) {
      const id = `moment-${round}`
      const [viewer, publisher] = await Promise.all([
        TestViewer.connect(gateway.ws, id),
        TestPublisher.connect(gateway.ws, id),
      ])
      publisher.publish(3)
      await viewer.frame(2)
      await Promise.all([publisher.close(), viewer.close()])
    }
  })

  it('deletes a broadcast and tells its viewers', async () => {
    const viewer = await TestViewer.connect(gateway.ws, 'over')
    await viewer.next('end')
    assert.equal((await fetch(`${gateway.http}/api/v1/broadcasts/over`, { method: 'DELETE' })).status, 204)
    assert.equal((await viewer.ended()).code, 4411)
    assert.equal((await fetch(`${gateway.http}/api/v1/broadcasts/over`)).status, 404)
  })
}
