/* SPDX-License-Identifier: BSD-3-Clause */
/* One request in, one answer out: the part of the server that knows no sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/messages.h"
#include "ctl/server.h"

static void
refuse(struct ctl_header *out, char **out_body, enum ctl_status status, const char *text)
{
	out->status = status;
	*out_body = strdup(text);
	out->length = *out_body != NULL ? strlen(text) : 0;
}

static int
answer_identity(const struct ctl_server_params *p, struct ctl_identity *id)
{
	id->pid = getpid();
	snprintf(id->kind, sizeof(id->kind), "%s", p->kind);
	snprintf(id->program, sizeof(id->program), "%s", program_invocation_short_name);
	snprintf(id->addr, sizeof(id->addr), "%s", p->addr != NULL ? p->addr : "");
	snprintf(id->version, sizeof(id->version), "%s", p->version != NULL ? p->version : "");
	return 0;
}

static int
run_handler(const struct ctl_server_params *p, const struct ctl_message *m, const void *request,
	void *answer, char *err, size_t err_len)
{
	if (m->command == CTL_IDENTITY)
		return answer_identity(p, answer);
	for (size_t i = 0; i < p->n_handlers; i++) {
		if (p->handlers[i].command == m->command)
			return p->handlers[i].answer(p->arg, request, answer, err, err_len);
	}
	snprintf(err, err_len, "\"%s\" is not available in this %s", m->name, p->kind);
	return -EOPNOTSUPP;
}

static void
answer_message(const struct ctl_server_params *p, const struct ctl_message *m, const void *request,
	struct ctl_header *out, char **out_body)
{
	void *answer = calloc(1, m->answer_size);
	char err[CTL_TEXT_MAX] = "";
	size_t len = 0;
	int ret;

	if (answer == NULL) {
		refuse(out, out_body, CTL_FAILED, "out of memory");
		return;
	}
	ret = run_handler(p, m, request, answer, err, sizeof(err));
	if (ret < 0 && err[0] == '\0')
		snprintf(err, sizeof(err), "%s", strerror(-ret));
	if (ret == 0 && ctl_message_encode(m->answer, answer, out_body, &len) < 0)
		snprintf(err, sizeof(err), "the answer could not be written");
	if (len > m->answer_max) {
		free(*out_body);
		*out_body = NULL;
		snprintf(err, sizeof(err), "the answer is too long");
	}
	if (*out_body != NULL) {
		out->status = CTL_OK;
		out->length = len;
	} else {
		refuse(out, out_body, ret == -EOPNOTSUPP ? CTL_BAD_COMMAND : CTL_FAILED, err);
	}
	ctl_message_free(m->answer, answer);
}

void
ctl_server_dispatch(const struct ctl_server_params *p, const struct ctl_header *header,
	const char *body, struct ctl_header *out, char **out_body)
{
	const struct ctl_message *m = ctl_message_find(header->command);
	void *request = NULL;
	char text[CTL_TEXT_MAX];

	*out = (struct ctl_header){.magic = CTL_MAGIC, .version = CTL_VERSION,
		.command = header->command};
	*out_body = NULL;
	if (header->version != CTL_VERSION) {
		snprintf(text, sizeof(text), "this process speaks version %d, you version %u",
			CTL_VERSION, header->version);
		refuse(out, out_body, CTL_BAD_VERSION, text);
	} else if (m == NULL) {
		snprintf(text, sizeof(text), "unknown command %u", header->command);
		refuse(out, out_body, CTL_BAD_COMMAND, text);
	} else if (m->request == NULL && header->length > 0) {
		snprintf(text, sizeof(text), "\"%s\" takes no arguments", m->name);
		refuse(out, out_body, CTL_BAD_REQUEST, text);
	} else if (m->request != NULL &&
		ctl_message_decode(m->request, body, header->length, &request) < 0) {
		snprintf(text, sizeof(text), "the arguments of \"%s\" do not fit", m->name);
		refuse(out, out_body, CTL_BAD_REQUEST, text);
	} else {
		answer_message(p, m, request, out, out_body);
	}
	if (request != NULL)
		ctl_message_free(m->request, request);
}
