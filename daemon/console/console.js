// The console is a client like any other: everything it does goes through the interface of docs/API.md. Text from the
// daemon is set as text, never as markup. The key stays in the tab (sessionStorage) and goes away with it.
'use strict';

const element = (id) => document.getElementById(id);
const state = {photo: null, next: null, name: ''};

function complain(text) {
  element('problem').textContent = text;
  element('problem').hidden = !text;
}

// The reply's JSON, or null after saying what went wrong.
async function ask(method, path, parameters = {}, body = undefined) {
  const headers = {};
  const key = element('key').value;
  const query = new URLSearchParams({collection: element('collection').value || 'default', ...parameters});
  if (key) headers['X-Api-Key'] = key;
  complain('');
  try {
    const reply = await fetch(`${path}?${query}`, {method, headers, body});
    if (reply.status === 204) return {};
    const answer = await reply.json();
    if (reply.ok) return answer;
    const reasons = answer.reasons ? ` (${answer.reasons.join(', ')})` : '';
    complain(`${answer.title}${reasons}: ${answer.detail}`);
  } catch (error) {
    complain(`No answer from facematchd: ${error.message}`);
  }
  return null;
}

function form(photos) {
  const data = new FormData();
  for (const [name, photo] of Object.entries(photos)) data.append(name, photo);
  return data;
}

function cell(row, text, className = '') {
  const td = row.insertCell();
  td.textContent = text;
  td.className = className;
  return td;
}

function button(text, action) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.addEventListener('click', action);
  return made;
}

const percent = (similarity) => similarity === undefined ? '' : similarity.toFixed(2);

// ---- who is in a photo ----

async function draw(photo, faces) {
  const canvas = element('view');
  const image = await createImageBitmap(photo, {imageOrientation: 'from-image'});
  const scale = Math.min(1, 1600 / image.width);
  const context = canvas.getContext('2d');
  canvas.width = image.width * scale;
  canvas.height = image.height * scale;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.lineWidth = Math.max(2, canvas.width / 400);
  context.font = `${Math.max(14, canvas.width / 60)}px sans-serif`;
  faces.forEach((face, i) => {
    const {x, y, width, height} = face.box;
    const colour = face.decision === 'match' ? '#2ecc71' : '#f39c12';
    context.strokeStyle = context.fillStyle = colour;
    context.strokeRect(x * scale, y * scale, width * scale, height * scale);
    context.fillText(face.person ? face.person.name : `${i + 1}`, x * scale, y * scale - 6);
  });
  canvas.hidden = false;
}

function enrolCell(row, face) {
  const input = document.createElement('input');
  const {x, y, width, height} = face.box;
  input.size = 12;
  input.setAttribute('aria-label', 'Name to enrol this face under');
  const enrol = async () => {
    if (!input.value) return;
    const at = `${x + width / 2},${y + height / 2}`;
    const answer = await ask('POST', '/v1/enroll', {name: input.value, face: at}, form({image: state.photo}));
    if (!answer) return;
    for (const warning of answer.warnings) complain(`${warning.detail} ${warning.person.name}`);
    await identify(true);
    await list();
  };
  input.addEventListener('keydown', (event) => { if (event.key === 'Enter') enrol(); });
  row.insertCell().append(input, ' ', button('Enrol', enrol));
}

async function identify(keepProblem = false) {
  const said = element('problem').textContent;
  const answer = await ask('POST', '/v1/identify', {limit: 1}, form({image: state.photo}));
  if (!answer) return;
  if (keepProblem) complain(said);
  const body = element('faces').tBodies[0];
  body.replaceChildren();
  answer.faces.forEach((face, i) => {
    const row = body.insertRow();
    const nearest = face.candidates[0];
    cell(row, `${i + 1}${face.reasons.length ? ` (${face.reasons.join(', ')})` : ''}`);
    cell(row, face.decision, face.decision);
    cell(row, nearest ? nearest.person.name : 'nobody enrolled');
    cell(row, percent(nearest && nearest.similarity), 'number');
    cell(row, `cosine ${face.threshold.cosine.toFixed(3)}`, 'number');
    enrolCell(row, face);
  });
  element('faces').hidden = answer.faces.length === 0;
  if (!answer.faces.length) complain('No face was found in this photo.');
  await draw(state.photo, answer.faces);
}

// ---- two photos ----

async function verify() {
  const first = element('first').files[0], second = element('second').files[0];
  if (!first || !second) return;
  const verdict = element('verdict');
  verdict.textContent = '…';
  const answer = await ask('POST', '/v1/verify', {}, form({image1: first, image2: second}));
  verdict.className = answer && answer.match ? 'match' : 'unknown';
  verdict.textContent = answer ? `${answer.match ? 'The same person' : 'Different people'}: similarity ` +
    `${percent(answer.similarity)}, cosine ${answer.cosine.toFixed(3)} where ${answer.threshold.cosine.toFixed(3)} ` +
    `is asked for (one pair of strangers in ${Math.round(1 / answer.threshold.false_match_rate)})` : '';
}

// ---- people ----

async function list(after = null) {
  const parameters = {limit: 50};
  if (after) parameters.after = after;
  if (state.name) parameters.name = state.name;
  const answer = await ask('GET', '/v1/people', parameters);
  if (!answer) return;
  const body = element('people').tBodies[0];
  if (!after) body.replaceChildren();
  for (const person of answer.people) {
    const row = body.insertRow();
    cell(row, person.name);
    cell(row, person.external_id || '');
    cell(row, person.faces, 'number');
    cell(row, person.created_at.slice(0, 10));
    row.insertCell().append(button('Forget', async () => {
      if (!confirm(`Forget ${person.name} and their ${person.faces} faces? This cannot be undone.`)) return;
      if (await ask('DELETE', `/v1/people/${person.id}`)) row.remove();
    }));
  }
  state.next = answer.next;
  element('more').hidden = !answer.next;
}

async function start() {
  const info = await ask('GET', '/v1/info');
  if (!info) return;
  element('info').textContent = `${info.version}, ${info.models.embedding.fingerprint} in ${info.quantization} on ` +
    `${info.isa}, one stranger in ${Math.round(1 / info.thresholds.false_positive_identification_rate)} may be named`;
  await list();
}

element('photo').addEventListener('change', (event) => {
  state.photo = event.target.files[0];
  if (state.photo) identify();
});
element('first').addEventListener('change', verify);
element('second').addEventListener('change', verify);
element('find').addEventListener('submit', (event) => {
  event.preventDefault();
  state.name = element('name').value;
  list();
});
element('all').addEventListener('click', () => {
  state.name = element('name').value = '';
  list();
});
element('more').addEventListener('click', () => list(state.next));
element('collection').addEventListener('change', () => list());
element('key').value = sessionStorage.getItem('key') || '';
element('key').addEventListener('change', () => {
  sessionStorage.setItem('key', element('key').value);
  start();
});
start();
