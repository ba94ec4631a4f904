#include "crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dice.h"

void sleep_us(unsigned us)
{
	nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L}, NULL);
}

static void *run(void *user)
{
	struct worker *worker = user;
	worker->work(worker);
	return NULL;
}

static void hire(struct crew *crew, void (*work)(struct worker *worker), unsigned number)
{
	struct worker *worker = &crew->workers[crew->worker_count];
	uint64_t dice = crew->seed * 1000 + crew->life * 100 + crew->worker_count;
	*worker = (struct worker){.crew = crew, .number = number, .work = work, .dice = roll(&dice, UINT64_MAX)};
	if (pthread_create(&worker->thread, NULL, run, worker) != 0)
		abort();
	crew->worker_count++;
}

void crew_start(struct crew *crew)
{
	for (unsigned i = 0; i < NAMED; i++)
		hire(crew, follow_by_name, i);
	for (unsigned i = 0; i < PRODUCERS; i++)
		hire(crew, produce, i);
	hire(crew, follow_and_leave, 0);
	hire(crew, follow_and_leave, 1);
	hire(crew, follow_on_loop, 0);
	hire(crew, follow_synchronously, 0);
	hire(crew, take_snapshots, 0);
	hire(crew, watch, 0);
	if (crew->durable)
		hire(crew, take_backups, 0);
}

void crew_stop(struct crew *crew)
{
	atomic_store(&crew->stopping, true);
	for (unsigned i = 0; i < crew->worker_count; i++)
		pthread_join(crew->workers[i].thread, NULL);
}

static void settle(struct acks *acks, const struct witness *witness)
{
	acks_settle(acks);
	acks_check(acks, witness);
}

static void settle_passer(struct passer *passer, const struct witness *witness)
{
	settle(&passer->acks, witness);
	for (unsigned i = 0; i < passer->gap_count; i++)
		witness_check_gap(witness, passer->name, passer->gaps[i].from_lsn, passer->gaps[i].upto_lsn);
	passer->gap_count = 0;
}

void crew_settle(struct crew *crew, struct crew_figures *figures)
{
	for (unsigned i = 0; i < crew->worker_count; i++)
		settle(&crew->workers[i].acks, crew->witness);
	for (unsigned i = 0; i < crew->passer_count; i++)
		settle_passer(&crew->passers[i], crew->witness);
	for (unsigned i = 0; i < NAMED; i++)
		settle_passer(&crew->named[i], crew->witness);
	figures->events += (uint64_t)(crew->witness->last - crew->witness->first + 1);
	figures->deliveries += crew->deliveries;
	figures->followers += crew->starts;
	figures->snapshots += crew->snapshots;
	figures->compactions += crew->compactions;
	figures->backups += crew->backups;
}

void crew_resubmit(struct crew *crew, struct mf_runtime *runtime)
{
	for (unsigned i = 0; i < crew->worker_count; i++)
		acks_resubmit(&crew->workers[i].acks, runtime);
	for (unsigned i = 0; i < crew->passer_count; i++)
		acks_resubmit(&crew->passers[i].acks, runtime);
}

void crew_free(struct crew *crew)
{
	for (unsigned i = 0; i < crew->worker_count; i++)
		acks_deinit(&crew->workers[i].acks);
	for (unsigned i = 0; i < crew->passer_count; i++)
		acks_deinit(&crew->passers[i].acks);
	free(crew);
}
