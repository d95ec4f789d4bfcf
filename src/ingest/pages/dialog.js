// The dialog in which a page's user tells what happened before an error. It is made of elements and texts, never of
// HTML, so that no text of a page can become markup.
(function (endpoint, texts, values, css) {
  'use strict';

  var LAYER = 'picket-report-layer';
  var FIELDS = [
    { name: 'name', label: texts.labelName, type: 'text', max: 128 },
    { name: 'email', label: texts.labelEmail, type: 'email', max: 75 },
    { name: 'comments', label: texts.labelComments, max: 4096 }
  ];
  var inputs = {};
  var focused = document.activeElement;
  var layer, box, message, form, submit;

  function element(parent, name, text) {
    var made = document.createElement(name);
    if (text) {
      made.textContent = text;
    }
    parent.appendChild(made);
    return made;
  }

  function button(parent, type, text) {
    var made = element(parent, 'button', text);
    made.type = type;
    return made;
  }

  function field(description) {
    var label = element(form, 'label', description.label);
    var input = element(label, description.type ? 'input' : 'textarea');
    if (description.type) {
      input.type = description.type;
    } else {
      input.rows = 5;
    }
    input.name = description.name;
    input.required = true;
    input.maxLength = description.max;
    input.value = values[description.name] || '';
    inputs[description.name] = input;
  }

  function open() {
    layer = element(document.body, 'div');
    layer.className = LAYER;
    element(layer, 'style', css);
    box = element(layer, 'div');
    box.className = 'picket-report';
    box.setAttribute('role', 'dialog');
    box.setAttribute('aria-modal', 'true');
    box.setAttribute('aria-label', texts.title);
    element(box, 'h2', texts.title);
    element(box, 'p', [texts.subtitle, texts.subtitle2].join(' '));
    form = element(box, 'form');
    // The server checks, and says what is wrong in the page's own words.
    form.noValidate = true;
    FIELDS.forEach(field);
    message = element(form, 'p');
    message.setAttribute('role', 'alert');
    message.className = 'picket-report-error';
    submit = button(form, 'submit', texts.labelSubmit);
    button(form, 'button', texts.labelClose).addEventListener('click', close);
    form.addEventListener('submit', send);
    layer.addEventListener('mousedown', function (event) {
      if (event.target === layer) {
        close();
      }
    });
    document.addEventListener('keydown', onKey);
    firstEmpty().focus();
  }

  function firstEmpty() {
    for (var i = 0; i < FIELDS.length; i++) {
      if (!inputs[FIELDS[i].name].value) {
        return inputs[FIELDS[i].name];
      }
    }
    return submit;
  }

  function onKey(event) {
    if (event.key === 'Escape' || event.key === 'Esc') {
      close();
    }
  }

  function close() {
    document.removeEventListener('keydown', onKey);
    if (layer.parentNode) {
      layer.parentNode.removeChild(layer);
    }
    if (focused && focused.focus) {
      focused.focus();
    }
    // The SDK calls the page's `onClose` then.
    window.postMessage('__sentry_reportdialog_closed__', '*');
  }

  function send(event) {
    event.preventDefault();
    var pairs = FIELDS.map(function (description) {
      return description.name + '=' + encodeURIComponent(inputs[description.name].value);
    });
    var request = new XMLHttpRequest();
    request.open('POST', endpoint);
    request.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded');
    request.onload = function () {
      answered(request);
    };
    request.onerror = function () {
      fail(texts.errorGeneric, {});
    };
    submit.disabled = true;
    request.send(pairs.join('&'));
  }

  function answered(request) {
    if (request.status >= 200 && request.status < 300) {
      return thank();
    }
    if (request.status === 400) {
      return fail(texts.errorFormEntry, errorsIn(request.responseText));
    }
    return fail(texts.errorGeneric, {});
  }

  function errorsIn(body) {
    try {
      return JSON.parse(body).errors || {};
    } catch (error) {
      return {};
    }
  }

  function fail(text, errors) {
    submit.disabled = false;
    message.textContent = text;
    FIELDS.forEach(function (description) {
      var wrong = Object.prototype.hasOwnProperty.call(errors, description.name);
      inputs[description.name].setAttribute('aria-invalid', wrong ? 'true' : 'false');
    });
  }

  function thank() {
    box.removeChild(form);
    element(box, 'p', texts.successMessage).setAttribute('role', 'status');
    var done = button(box, 'button', texts.labelClose);
    done.addEventListener('click', close);
    done.focus();
  }

  if (document.body) {
    open();
  } else {
    document.addEventListener('DOMContentLoaded', open);
  }
})
