/** `/static/index.html`: a camera goes on air, and beside it comes back through the log. */

import { type BroadcastId, isBroadcastId } from '../../units.ts'
import { BroadcastPlayer } from '../player/broadcast-player.ts'
import { playerModes } from '../player/player-modes.ts'
import { CameraPublisher, publisherModes } from '../publisher/camera-publisher.ts'
import { type SizeCount, sizeCounts } from '../publisher/picture-encoding.ts'
import type { Publisher, PublisherState } from '../publisher/publisher.ts'
import { codecWords, lagWords, playerWords, publisherWords, text } from '../text.ts'
import { button, element, Figures, frame, StateLine, setText } from './dom.ts'
import { LagChart } from './lag-chart.ts'
import { observe } from './observed.ts'
import * as onAir from './on-air.ts'
import { Overlay } from './overlay.ts'
import { shareRow } from './share.ts'
import './style.css'

const words = text.studio
const page = new URL(location.href)
const asked = page.searchParams.get('broadcast')

let publisher: Publisher | undefined
let player: BroadcastPlayer | undefined
let heard = false
let before = { at: 0, bytes: 0 }

const state = new StateLine()
const replayState = new StateLine()
const preview = element('video', {
  muted: true,
  playsinline: true,
  autoplay: true,
  'aria-label': words.cameraLabel,
})
const noCamera = element('p', { class: 'notice' }, words.cameraEmpty)
const noReplay = element('p', { class: 'notice' }, words.replayEmpty)
const overlay = new Overlay()
const replay = element('div', { class: 'stage' }, overlay.root, noReplay)
const lag = element('output', { class: 'lag', 'aria-label': text.figures.lag }, text.figures.none)
const id = element('input', {
  id: 'broadcast',
  type: 'text',
  value: asked ?? `camera-${Math.random().toString(36).slice(2, 6).padEnd(4, '0')}`,
  maxlength: 63,
  autocapitalize: 'none',
  autocomplete: 'off',
  spellcheck: 'false',
  'aria-describedby': 'broadcast-hint',
})
const title = element('input', {
  id: 'title',
  type: 'text',
  maxlength: 120,
  autocomplete: 'off',
  placeholder: words.nameHint,
})
const hint = element('small', { id: 'broadcast-hint' }, words.idHint)
const sizes = element(
  'select',
  { id: 'sizes', 'aria-describedby': 'sizes-hint' },
  ...sizeCounts.map(count =>
    element(
      'option',
      { value: count, selected: String(count) === page.searchParams.get('sizes') },
      words.sizeCounts[count],
    ),
  ),
)
const start = button(words.start, 'primary', begin)
const stop = button(words.stop, 'plain', () => {
  onAir.clear()
  void publisher?.stop()
})
const listen = button(words.hear, 'plain', () => {
  heard = !heard
  player?.setSound(heard ? 'heard' : 'silent')
  setText(listen, heard ? words.unhear : words.hear)
  listen.setAttribute('aria-pressed', String(heard))
})
const share = shareRow()
const chart = new LagChart()
const names = text.figures
const figures = new Figures([
  names.fps,
  names.bitrate,
  names.codec,
  names.size,
  names.acknowledged,
  names.waiting,
  names.dropped,
  names.skipped,
  names.roundTrip,
  names.skew,
])

frame(
  'studio',
  element('div', { class: 'heading' }, element('h1', {}, words.title), state.badge),
  state.sentence,
  element(
    'form',
    { class: 'controls' },
    element('label', { for: 'broadcast' }, words.id),
    id,
    element('div', { class: 'buttons' }, start, stop),
    hint,
    element('label', { for: 'title' }, words.name),
    title,
    element('label', { for: 'sizes' }, words.sizes),
    sizes,
    element('small', { id: 'sizes-hint' }, words.sizesHint),
  ),
  element(
    'div',
    { class: 'pair' },
    element(
      'section',
      { class: 'panel' },
      element('h2', {}, words.camera),
      element('div', { class: 'stage' }, preview, noCamera),
    ),
    element(
      'section',
      { class: 'panel' },
      element('div', { class: 'panel-head' }, element('h2', {}, words.replay), lag),
      replay,
    ),
  ),
  share.root,
  element(
    'section',
    { class: 'panel', 'aria-label': words.figures },
    element('div', { class: 'panel-head' }, replayState.badge, listen),
    figures.root,
  ),
  element('div', { class: 'panel' }, chart.root),
)
document.title = `${words.title} · ${text.brand}`
id.form?.addEventListener('submit', event => {
  event.preventDefault()
  begin()
})
id.addEventListener('input', checkId)
title.addEventListener('change', () => publisher?.setTitle(title.value))
addEventListener('pagehide', () => publisher?.abandon())
observe({ publisher: () => publisher, player: () => player })
checkId()
show({ kind: 'idle' })
setInterval(measure, 500)
setInterval(() => chart.add(player?.state.kind === 'live' ? player.figures.way : undefined), 250)
if (page.searchParams.get('autostart') === '1' || onAir.wasReloaded(id.value)) begin()

function begin(): void {
  if (publisher !== undefined && !isOver(publisher.state) && publisher.state.kind !== 'idle') return
  if (!isBroadcastId(id.value)) return
  const broadcast = id.value
  onAir.set(broadcast)
  const url = new URL(location.href)
  url.searchParams.set('broadcast', broadcast)
  const count = Number(sizes.value) as SizeCount
  if (count > 1 || url.searchParams.has('sizes')) url.searchParams.set('sizes', sizes.value)
  history.replaceState(null, '', url)
  player?.stop()
  player = undefined
  for (const old of replay.querySelectorAll('[data-player]')) old.remove()
  const mode = publisherModes.find(name => name === page.searchParams.get('mode'))
  const options = { id: broadcast, page: url, mode, title: title.value, sizes: count }
  const made = new CameraPublisher(options, next => {
    if (publisher === made) changed(next, broadcast)
  })
  publisher = made
  before = { at: performance.now(), bytes: 0 }
  void made.start()
}

function changed(next: PublisherState, broadcast: BroadcastId): void {
  if (preview.srcObject !== (publisher?.stream ?? null)) preview.srcObject = publisher?.stream ?? null
  if (isOver(next)) preview.srcObject = null
  noCamera.hidden = preview.srcObject !== null
  if (next.kind === 'live' && player === undefined) watch(broadcast)
  show(next)
}

/** The picture comes back the way that every viewer gets it. */
function watch(broadcast: BroadcastId): void {
  const made = new BroadcastPlayer(
    {
      id: broadcast,
      page,
      stage: replay,
      label: words.replayLabel,
      mode: playerModes.find(name => name === page.searchParams.get('player')),
      chases: true,
      from: 'live',
      sound: heard ? 'heard' : 'silent',
      onData: record => overlay.take(record),
      onDataLeft: () => overlay.clear(),
    },
    () => replayState.show(playerWords(made.state)),
  )
  player = made
  made.start()
}

function show(next: PublisherState): void {
  state.show(publisherWords(next))
  const off = isOver(next) || next.kind === 'idle'
  start.hidden = !off
  stop.hidden = off
  id.readOnly = !off
  sizes.disabled = !off
  hint.hidden = !off
  document.body.dataset.state = next.kind
}

function checkId(): void {
  const good = isBroadcastId(id.value)
  id.setAttribute('aria-invalid', String(!good))
  setText(hint, good ? words.idHint : words.idWrong)
  start.disabled = !good
  share.show(good ? new URL(`/watch/${id.value}`, location.href).href : '')
}

function measure(): void {
  const sent = publisher?.figures
  const seen = player?.figures
  const now = performance.now()
  const isLive = player?.state.kind === 'live'
  setText(lag, !isLive || seen?.lagMs === undefined ? names.none : lagWords(seen.lagMs))
  replayState.badge.hidden = player === undefined
  noReplay.hidden = (seen?.painted ?? 0) > 0
  overlay.follow(seen?.mediaTime)
  overlay.fit(seen?.size)
  listen.hidden = !isLive || player?.sound === 'none'
  figures.set(names.fps, seen === undefined ? undefined : String(seen.fps))
  figures.set(names.skew, seen?.audio.state === 'heard' ? names.milliseconds(seen.audio.avSkewMs) : undefined)
  if (seen?.size !== undefined) figures.set(names.size, `${seen.size.width} × ${seen.size.height}`)
  if (sent === undefined) return
  if (isBroadcastId(id.value)) share.show(new URL(`/watch/${id.value}`, sent.gateway).href)
  const rate = ((sent.bytes - before.bytes) * 8000) / Math.max(1, now - before.at)
  before = { at: now, bytes: sent.bytes }
  figures.set(names.bitrate, names.kilobits(rate))
  figures.set(names.codec, codecWords(sent.codecs))
  figures.set(names.acknowledged, names.frames(sent.acknowledged + 1))
  figures.set(names.waiting, names.frames(sent.unacknowledged))
  figures.set(names.dropped, sent.dropped > 0 ? names.frames(sent.dropped) : undefined)
  figures.set(names.skipped, sent.skipped > 0 ? names.pictures(sent.skipped) : undefined)
  figures.set(names.roundTrip, sent.roundTrip === undefined ? undefined : names.milliseconds(sent.roundTrip))
}

function isOver({ kind }: PublisherState): boolean {
  return kind === 'ended' || kind === 'failed' || kind === 'refused' || kind === 'unsupported'
}
