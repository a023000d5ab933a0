// SPDX-License-Identifier: GPL-2.0

/* RCU and the lists that it protects. */

__kvmrs_helper void kvmrs_rcu_assert_held(void)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "page tables without RCU");
}

__kvmrs_helper void kvmrs_list_init(struct list_head *list)
{
	INIT_LIST_HEAD(list);
}

__kvmrs_helper bool kvmrs_list_empty(const struct list_head *head)
{
	return list_empty(head);
}

__kvmrs_helper void kvmrs_list_add_rcu(struct list_head *new, struct list_head *head)
{
	list_add_rcu(new, head);
}

__kvmrs_helper void kvmrs_list_del_rcu(struct list_head *entry)
{
	list_del_rcu(entry);
}

__kvmrs_helper struct list_head *kvmrs_list_next_rcu(struct list_head *entry)
{
	return rcu_dereference_raw(list_next_rcu(entry));
}

/* Reference counts, of roots. */

__kvmrs_helper void kvmrs_refcount_set(refcount_t *ref, int n)
{
	refcount_set(ref, n);
}

__kvmrs_helper bool kvmrs_refcount_inc_not_zero(refcount_t *ref)
{
	return refcount_inc_not_zero(ref);
}

__kvmrs_helper bool kvmrs_refcount_dec_and_test(refcount_t *ref)
{
	return refcount_dec_and_test(ref);
}
