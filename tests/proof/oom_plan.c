#include "oom_plan.h"

#include <stdlib.h>

#define AIMED_MAX 3 /* times */

/* All allocations of one call stack. */
struct site {
	uint64_t stack;
	const uint64_t *numbers; /* ascending */
	size_t count;
	bool struck;
};

struct oom_plan {
	size_t count, next, site_count, aimed;
	bool *wanted; /* [n - 1] */
	uint64_t *numbers;
	struct site *sites; /* by stack */
};

static const uint64_t *sorted_by;

static int compare_numbers(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right, stack_a = sorted_by[a - 1], stack_b = sorted_by[b - 1];
	return stack_a != stack_b ? (stack_a > stack_b) - (stack_a < stack_b) : (a > b) - (a < b);
}

static void take_some(struct oom_plan *plan, const struct site *site, uint64_t each)
{
	size_t some = each == 0 || each > site->count ? site->count : (size_t)each;
	for (size_t i = 0; i < some; i++) {
		size_t at = some == 1 ? 0 : i * (site->count - 1) / (some - 1);
		plan->wanted[site->numbers[at] - 1] = true;
	}
}

static void find_sites(struct oom_plan *plan, const uint64_t *stacks)
{
	for (size_t i = 0; i < plan->count; i++)
		plan->numbers[i] = i + 1;
	sorted_by = stacks;
	qsort(plan->numbers, plan->count, sizeof(*plan->numbers), compare_numbers);
	for (size_t i = 0; i < plan->count; i++) {
		uint64_t stack = stacks[plan->numbers[i] - 1];
		if (plan->site_count == 0 || plan->sites[plan->site_count - 1].stack != stack)
			plan->sites[plan->site_count++] = (struct site){.stack = stack, .numbers = &plan->numbers[i]};
		plan->sites[plan->site_count - 1].count++;
	}
}

struct oom_plan *oom_plan_new(const uint64_t *stacks, size_t count, uint64_t each)
{
	struct oom_plan *plan = calloc(1, sizeof(*plan));
	if (!plan)
		return NULL;
	plan->count = count;
	plan->wanted = calloc(count + 1, sizeof(*plan->wanted));
	plan->numbers = calloc(count + 1, sizeof(*plan->numbers));
	plan->sites = calloc(count + 1, sizeof(*plan->sites));
	if (!plan->wanted || !plan->numbers || !plan->sites) {
		oom_plan_free(plan);
		return NULL;
	}
	find_sites(plan, stacks);
	for (size_t i = 0; i < plan->site_count; i++)
		take_some(plan, &plan->sites[i], each);
	return plan;
}

void oom_plan_free(struct oom_plan *plan)
{
	if (!plan)
		return;
	free(plan->wanted);
	free(plan->numbers);
	free(plan->sites);
	free(plan);
}

uint64_t oom_plan_next(struct oom_plan *plan)
{
	while (plan->next < plan->count)
		if (plan->wanted[plan->next++])
			return plan->next;
	return 0;
}

static int compare_site(const void *key, const void *site)
{
	uint64_t stack = *(const uint64_t *)key, other = ((const struct site *)site)->stack;
	return (stack > other) - (stack < other);
}

void oom_plan_struck(struct oom_plan *plan, uint64_t stack)
{
	struct site *site = bsearch(&stack, plan->sites, plan->site_count, sizeof(*plan->sites), compare_site);
	if (site)
		site->struck = true;
}

uint64_t oom_plan_next_missed(struct oom_plan *plan)
{
	while (plan->aimed < AIMED_MAX * plan->site_count) {
		const struct site *site = &plan->sites[plan->aimed++ % plan->site_count];
		if (!site->struck)
			return site->stack;
	}
	return 0;
}

size_t oom_plan_allocations(const struct oom_plan *plan)
{
	return plan->count;
}

size_t oom_plan_stacks(const struct oom_plan *plan)
{
	return plan->site_count;
}

size_t oom_plan_missed(const struct oom_plan *plan)
{
	size_t missed = 0;
	for (size_t i = 0; i < plan->site_count; i++)
		missed += !plan->sites[i].struck;
	return missed;
}
